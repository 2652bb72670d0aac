"""The exchange's side: its ledger folded into the orders, trades and wallet of one account.

Times are when a record was written, on the clock of the host: faults may shift the exchange's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

#: Orders that a person places carry ids with this start, and those that liquidate a position.
FOREIGN_PREFIXES = ("web_", "autoclose-")
#: The ledger's names of its two markets.
SPOT, FUTURES = "spot", "futures"
#: Records that move nothing and end nothing.
_SILENT = frozenset(
    {"order_rejected", "rules_changed", "position_configured", "funding_settled", "countdown_set"}
)


class LedgerUnreadableError(Exception):
    """The exchange's ledger is not what this reader understands, so nothing can be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOrder:
    """An order that the exchange accepted, and how it stands."""

    symbol: str
    order_id: str
    client_order_id: str
    side: str
    price: Decimal
    quantity: Decimal
    #: Futures only.
    reduce_only: bool = False
    filled: Decimal = Decimal(0)
    accepted_ms: int
    accepted_seq: int
    #: The record that ended it; `None` while it is open.
    ended_seq: int | None = None
    ended_ms: int | None = None

    @property
    def is_open(self) -> bool:
        return self.ended_seq is None

    @property
    def is_persons(self) -> bool:
        return self.client_order_id.startswith(FOREIGN_PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTrade:
    symbol: str
    base: str
    quote: str
    trade_id: str
    order_id: str
    client_order_id: str
    side: str
    price: Decimal
    quantity: Decimal
    #: What was exchanged for it, in quote.
    notional: Decimal
    fee: Decimal
    fee_asset: str
    #: Futures: profit of what it closed, which is all that moves beside the fee.
    realised: Decimal | None = None
    traded_ms: int

    @property
    def signed_quantity(self) -> Decimal:
        return self.quantity if self.side == "buy" else -self.quantity

    @property
    def base_fee(self) -> Decimal:
        return self.fee if self.fee_asset == self.base else Decimal(0)

    @property
    def quote_fee(self) -> Decimal:
        return self.fee if self.fee_asset == self.quote else Decimal(0)

    def movement(self, asset: str) -> Decimal:
        """What the trade did to the account's balance of an asset."""
        sign = 1 if self.side == "buy" else -1
        moved = Decimal(0)
        if self.realised is not None:
            moved += self.realised if asset == self.quote else 0
        elif asset == self.base:
            moved += sign * self.quantity
        elif asset == self.quote:
            moved -= sign * self.notional
        if asset == self.fee_asset:
            moved -= self.fee
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A deposit, or a withdrawal where the amount is negative."""

    asset: str
    amount: Decimal
    transferred_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """What a position got, or paid where the amount is negative."""

    symbol: str
    asset: str
    amount: Decimal
    #: On the exchange's own clock, as it tells its clients.
    paid_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The account as the exchange has it after record `seq`."""

    seq: int
    orders: tuple[ExchangeOrder, ...]
    trades: tuple[ExchangeTrade, ...]
    transfers: tuple[Transfer, ...]
    market: str = SPOT
    #: When the last record was written, of whatever account.
    read_ms: int = 0
    fundings: tuple[Funding, ...] = ()

    def balance(self, asset: str) -> Decimal:
        """Free plus locked; of futures the wallet."""
        moves: tuple[Transfer | Funding, ...] = (*self.transfers, *self.fundings)
        moved = sum((move.amount for move in moves if move.asset == asset), Decimal(0))
        return sum((trade.movement(asset) for trade in self.trades), moved)

    def position(self, symbol: str) -> Decimal:
        """Of futures: net, in base."""
        own = (trade.signed_quantity for trade in self.trades if trade.symbol == symbol)
        return sum(own, Decimal(0))


class LedgerFold:
    """Takes records in order; `snapshot` is the account after the last of them."""

    def __init__(self, account: str | None = None, market: str = SPOT) -> None:
        """`account` is the exchange's name for it; the only one there is by default."""
        self._wanted = account
        self._market = market
        self._accounts: set[str] = set()
        self._seq = 0
        self._read_ms = 0
        self._orders: dict[tuple[str, str], ExchangeOrder] = {}
        self._trades: list[ExchangeTrade] = []
        self._transfers: list[Transfer] = []
        self._fundings: list[Funding] = []

    @property
    def seq(self) -> int:
        return self._seq

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Fold more records in.

        Raises
        ------
        LedgerUnreadableError
            If a record is missing or unknown, or of a second account while none was named.
        """
        for record in records:
            if record["seq"] != self._seq + 1:
                raise LedgerUnreadableError(f"record {record['seq']} follows {self._seq}")
            self._seq, self._read_ms = record["seq"], record["written_ms"]
            # Ledgers from before there were two markets do not name theirs.
            if record.get("market", SPOT) != self._market or record["kind"] in _SILENT:
                continue
            if self._wanted is None:
                self._accounts.add(record["account"])
                if len(self._accounts) > 1:
                    names = ", ".join(sorted(self._accounts))
                    raise LedgerUnreadableError(f"the exchange has several accounts: {names}")
            if record["account"] == (self._wanted or record["account"]):
                self._add(record)

    def snapshot(self) -> Exchange:
        return Exchange(
            seq=self._seq,
            orders=tuple(self._orders.values()),
            trades=tuple(self._trades),
            transfers=tuple(self._transfers),
            market=self._market,
            read_ms=self._read_ms,
            fundings=tuple(self._fundings),
        )

    def _add(self, record: Mapping[str, Any]) -> None:
        match record["kind"]:
            case "deposited":
                self._transfers.append(
                    Transfer(
                        asset=record["asset"],
                        amount=Decimal(record["amount"]),
                        transferred_ms=record["written_ms"],
                    )
                )
            case "order_accepted":
                order = _order(record)
                self._orders[order.symbol, order.order_id] = order
            case "order_filled":
                self._fill(record)
            case "order_amended":
                key = record["symbol"], str(record["order_id"])
                price, quantity = Decimal(record["price"]), Decimal(record["quantity"])
                self._orders[key] = replace(self._orders[key], price=price, quantity=quantity)
            case "funding_paid":
                self._fundings.append(
                    Funding(
                        symbol=record["symbol"],
                        asset=record["asset"],
                        amount=Decimal(record["amount"]),
                        paid_ms=record["time_ms"],
                    )
                )
            case "order_cancelled" | "order_expired":
                key = record["symbol"], str(record["order_id"])
                self._orders[key] = _ended(self._orders[key], record)
            case kind:
                raise LedgerUnreadableError(f"record {record['seq']} is of unknown kind {kind!r}")

    def _fill(self, record: Mapping[str, Any]) -> None:
        trade = _trade(record, self._market)
        self._trades.append(trade)
        key = trade.symbol, trade.order_id
        order = self._orders[key]
        filled = order.filled + trade.quantity
        order = replace(order, filled=filled)
        self._orders[key] = _ended(order, record) if filled == order.quantity else order


def _ended(order: ExchangeOrder, record: Mapping[str, Any]) -> ExchangeOrder:
    return replace(order, ended_seq=record["seq"], ended_ms=record["written_ms"])


def _order(record: Mapping[str, Any]) -> ExchangeOrder:
    return ExchangeOrder(
        symbol=record["symbol"],
        order_id=str(record["order_id"]),
        client_order_id=record["client_order_id"],
        side=record["side"].lower(),
        price=Decimal(record["price"]),
        quantity=Decimal(record["quantity"]),
        reduce_only=record.get("reduce_only", False),
        accepted_ms=record["written_ms"],
        accepted_seq=record["seq"],
    )


def _trade(record: Mapping[str, Any], market: str) -> ExchangeTrade:
    """The fee tells base and quote apart: it is in base for a buy on spot, else in quote."""
    symbol, side, fee_asset = record["symbol"], record["side"].lower(), record["fee_asset"]
    if side == "buy" and market == SPOT:
        base, quote = fee_asset, symbol.removeprefix(fee_asset)
    else:
        base, quote = symbol.removesuffix(fee_asset), fee_asset
    if base + quote != symbol:
        raise LedgerUnreadableError(
            f"record {record['seq']}: a {side} of {symbol} paid {fee_asset}"
        )
    return ExchangeTrade(
        symbol=symbol,
        base=base,
        quote=quote,
        trade_id=str(record["trade_id"]),
        order_id=str(record["order_id"]),
        client_order_id=record["client_order_id"],
        side=side,
        price=Decimal(record["price"]),
        quantity=Decimal(record["quantity"]),
        notional=Decimal(record["quote"]),
        fee=Decimal(record["fee"]),
        fee_asset=fee_asset,
        realised=Decimal(record["realised"]) if market == FUTURES else None,
        traded_ms=record["written_ms"],
    )
