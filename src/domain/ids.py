"""Names of things, and the client order id that carries an order's place in the grid."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, NewType

from domain.errors import ConfigurationError

#: The id as the venue sees it.
ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
#: ``{account}-{base}-{quote}``, of a perpetual with ``-perp``; holds neither ``/`` nor ``:``.
SymbolKey = NewType("SymbolKey", str)
#: ``{symbol key}:{epoch}:{sequence}``; also the id of the plan's workflow.
DecisionId = NewType("DecisionId", str)

FORMAT = 4
_SLOT_OFFSET = 1 << 15
#: Bits of each part, most significant first; 104 in all with the checksum.
_WIDTHS = (4, 20, 16, 8, 16, 4, 20)
_CHECKSUM_BITS = 16
#: A perpetual is settled in its quote: ``BTC/USDT:USDT``.
_SYMBOL = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})(:\2)?")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_]{0,30}")

MAX_NONCE = (1 << 20) - 1
MAX_SHARD = (1 << 16) - 1
MAX_GENERATION = (1 << 20) - 1


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class SlotId(NamedTuple):
    """A slot's identity: its number means nothing without its ladder's version."""

    #: 0 to 255.
    version: int
    #: Signed, -32768 to 32767.
    number: int

    def __str__(self) -> str:
        return f"{self.number} of ladder {self.version}"


class Purpose(IntEnum):
    """Why an order exists."""

    ENTRY = 0
    EXIT = 1
    INITIAL = 2
    FLATTEN = 3
    STOP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTag:
    """What an own order is, readable from its client id alone."""

    #: Drawn once per installation (20 bits); tells our orders from another installation's.
    nonce: int
    #: Number of the SymbolManager shard (16 bits).
    shard: int
    slot: SlotId
    purpose: Purpose
    side: Side
    #: Rises by one with each intent of this slot and side (20 bits).
    generation: int


def encode_tag(tag: OrderTag) -> int:
    """Pack a tag into the 104-bit integer that the venue codecs spell out.

    Raises
    ------
    ConfigurationError
        If a part does not fit its bits.
    """
    parts = (
        FORMAT,
        tag.nonce,
        tag.shard,
        tag.slot.version,
        tag.slot.number + _SLOT_OFFSET,
        tag.purpose << 1 | (tag.side is Side.SELL),
        tag.generation,
    )
    packed = 0
    for value, width in zip(parts, _WIDTHS, strict=True):
        if not 0 <= value < 1 << width:
            raise ConfigurationError(
                field="client order id",
                rule=f"each part must fit its {width} bits",
                value=tag,
                remedy="remove the symbol and add it again: it gets fresh numbers",
            )
        packed = packed << width | value
    return packed << _CHECKSUM_BITS | _checksum(packed)


def decode_tag(packed: int) -> OrderTag | None:
    """Read a tag back; `None` for any integer that is not one of ours."""
    if not 0 <= packed < 1 << 104:
        return None
    body, checksum = packed >> _CHECKSUM_BITS, packed & 0xFFFF
    if _checksum(body) != checksum:
        return None
    parts: list[int] = []
    rest = body
    for width in reversed(_WIDTHS):
        parts.append(rest & ((1 << width) - 1))
        rest >>= width
    generation, kind, index, version, shard, nonce, id_format = parts
    if id_format != FORMAT or kind >> 1 not in set(Purpose):
        return None
    return OrderTag(
        nonce=nonce,
        shard=shard,
        slot=SlotId(version, index - _SLOT_OFFSET),
        purpose=Purpose(kind >> 1),
        side=Side.SELL if kind & 1 else Side.BUY,
        generation=generation,
    )


def symbol_key(account: str, symbol: str) -> SymbolKey:
    """The key of a symbol on an account, safe in ids, paths and queries.

    Raises
    ------
    ConfigurationError
        If either name is not well formed.
    """
    if not _ACCOUNT.fullmatch(account):
        raise ConfigurationError(
            field="account",
            rule="must be lower-case letters, digits and _",
            value=repr(account[:40]),
            remedy="name an account of the configuration, such as sim",
        )
    parts = _SYMBOL.fullmatch(symbol)
    if parts is None:
        raise ConfigurationError(
            field="symbol",
            rule="must be BASE/QUOTE, or BASE/QUOTE:QUOTE of a perpetual, in capitals",
            value=repr(symbol[:40]),
            remedy="write it as BTC/USDT or BTC/USDT:USDT",
        )
    base, quote, settle = parts.groups()
    return SymbolKey(f"{account}-{base}-{quote}{'-perp' if settle else ''}")


def decision_id(key: SymbolKey, epoch: int, sequence: int) -> DecisionId:
    return DecisionId(f"{key}:{epoch}:{sequence}")


def _checksum(body: int) -> int:
    return binascii.crc_hqx(body.to_bytes(11, "big"), 0xFFFF)
