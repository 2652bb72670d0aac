"""How venues spell the 104-bit integer of an order's tag in a client order id."""

from __future__ import annotations

from domain.ids import ClientOrderId, OrderTag, decode_tag, encode_tag

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
#: 62^18 is just above 2^104, and 18 characters fit the tightest venue.
_LENGTH = 18


class Base62Codec:
    """Fixed width, most significant digit first."""

    def encode(self, tag: OrderTag) -> ClientOrderId:
        rest = encode_tag(tag)
        digits = []
        for _ in range(_LENGTH):
            rest, value = divmod(rest, len(_DIGITS))
            digits.append(_DIGITS[value])
        return ClientOrderId("".join(reversed(digits)))

    def decode(self, client_order_id: str) -> OrderTag | None:
        """The tag, or `None` for a foreign id."""
        if len(client_order_id) != _LENGTH:
            return None
        packed = 0
        for digit in client_order_id:
            value = _VALUES.get(digit)
            if value is None:
                return None
            packed = packed * len(_DIGITS) + value
        return decode_tag(packed)
