"""What a venue has decided and nobody has been told yet."""

from dataclasses import dataclass, field
from typing import Any

from simulator.records import Record


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """One trade of the public tape."""

    symbol: str
    trade_id: int
    price_e8: int
    quantity_e8: int
    time_ms: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Outbox:
    """What happened since the last drain, in order."""

    records: list[Record] = field(default_factory=list)
    #: (account, payload) of the user streams.
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trades: list[PublicTrade] = field(default_factory=list)
    #: (stream, payload) of the public streams, beyond trades, quotes and depth.
    announcements: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
