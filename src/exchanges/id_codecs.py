"""How venues spell the 104-bit integer of an order's tag in a client order id."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from domain.ids import ClientOrderId, OrderTag, decode_tag, encode_tag

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
#: 62^18 is just above 2^104, and 18 characters fit the tightest venue.
_LENGTH = 18

#: A version 8 UUID leaves 122 bits free, in parts of 48, 12 and 62.
_UUID_MIDDLE_BITS = 12
_UUID_LOW_BITS = 44
_UUID_FRAME = 8 << 76 | 0b10 << 62

_HEX = re.compile(r"0x[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Base62Codec:
    """Fixed width, most significant digit first, behind a prefix that the venue may demand."""

    prefix: str = ""

    def encode(self, tag: OrderTag) -> ClientOrderId:
        rest = encode_tag(tag)
        digits = []
        for _ in range(_LENGTH):
            rest, value = divmod(rest, len(_DIGITS))
            digits.append(_DIGITS[value])
        return ClientOrderId(self.prefix + "".join(reversed(digits)))

    def decode(self, client_order_id: str) -> OrderTag | None:
        """The tag, or `None` for a foreign id."""
        digits = client_order_id.removeprefix(self.prefix)
        if len(digits) != _LENGTH or len(client_order_id) != len(self.prefix) + _LENGTH:
            return None
        packed = 0
        for digit in digits:
            value = _VALUES.get(digit)
            if value is None:
                return None
            packed = packed * len(_DIGITS) + value
        return decode_tag(packed)


@dataclass(frozen=True, slots=True)
class Uuid8Codec:
    """The version of UUIDs that is free for everybody's own layout; lower-case, with hyphens."""

    def encode(self, tag: OrderTag) -> ClientOrderId:
        packed = encode_tag(tag)
        high = packed >> (_UUID_MIDDLE_BITS + _UUID_LOW_BITS)
        middle = packed >> _UUID_LOW_BITS & (1 << _UUID_MIDDLE_BITS) - 1
        low = packed & (1 << _UUID_LOW_BITS) - 1
        return ClientOrderId(str(uuid.UUID(int=_UUID_FRAME | high << 80 | middle << 64 | low)))

    def decode(self, client_order_id: str) -> OrderTag | None:
        """The tag, or `None` for a foreign id."""
        try:
            number = uuid.UUID(client_order_id).int
        except ValueError:
            return None
        high = number >> 80
        middle = number >> 64 & (1 << _UUID_MIDDLE_BITS) - 1
        low = number & (1 << _UUID_LOW_BITS) - 1
        tag = decode_tag((high << _UUID_MIDDLE_BITS | middle) << _UUID_LOW_BITS | low)
        # Any other version, variant, padding or spelling is not what we would have written.
        return tag if tag is not None and self.encode(tag) == client_order_id else None


@dataclass(frozen=True, slots=True)
class HexCodec:
    """128 bits in hexadecimal behind ``0x``."""

    def encode(self, tag: OrderTag) -> ClientOrderId:
        return ClientOrderId(f"0x{encode_tag(tag):032x}")

    def decode(self, client_order_id: str) -> OrderTag | None:
        """The tag, or `None` for a foreign id."""
        if not _HEX.fullmatch(client_order_id):
            return None
        return decode_tag(int(client_order_id, 16))
