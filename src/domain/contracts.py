"""What an account that trades perpetual contracts has beside its orders and trades."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class MarginMode(StrEnum):
    #: The whole wallet backs the position.
    CROSS = "cross"
    #: Only what was set aside for it.
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A symbol's net position as the venue shows it; none is a quantity of zero."""

    #: In base; short positions are negative.
    quantity: Decimal = Decimal(0)
    entry_price: Decimal = Decimal(0)
    mark_price: Decimal = Decimal(0)
    #: `None` where no price of the mark would end it.
    liquidation_price: Decimal | None = None
    #: Initial margin of the position and its orders, and the maintenance margin, in quote.
    initial_margin: Decimal = Decimal(0)
    maintenance_margin: Decimal = Decimal(0)


class IncomeKind(StrEnum):
    """What moves a wallet beside trades; the values are the ledger's kinds."""

    FUNDING = "funding"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One movement of a wallet, keyed by its kind and the venue's transaction id."""

    kind: IncomeKind
    transaction_id: str
    #: Empty for a transfer.
    symbol: str
    asset: str
    #: Negative when paid.
    amount: Decimal
    #: Venue time, ms since the epoch.
    booked_ms: int
