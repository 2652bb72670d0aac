"""The futures account model: a margin wallet of each settlement asset, and one-way positions.

A wallet is, exactly, the sum of what its entries say: transfers, realised profit, commission and
funding. Initial margin is not moved out of it; it only limits what may be opened.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from simulator.positions import Position
from simulator.records import (
    CountdownSet,
    Deposited,
    FundingPaid,
    FundingSettled,
    OrderFilled,
    PositionConfigured,
)
from simulator.state import FuturesRecord, LedgerError, Order, State
from simulator.symbols import Rules


class EntryKind(StrEnum):
    """What moved a wallet, in the venue's words."""

    TRANSFER = "TRANSFER"
    REALISED = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING = "FUNDING_FEE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of a wallet; `symbol` is empty for a transfer."""

    number: int
    kind: EntryKind
    symbol: str
    asset: str
    amount_e8: int
    time_ms: int
    trade_id: int | None = None


class FuturesState(State):
    """Wallets, positions and dead-man switches beside the orders."""

    def __init__(self, rules: dict[str, Rules]) -> None:
        super().__init__(rules)
        self.wallets_e8: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        self.fundings: dict[str, list[FundingSettled]] = {symbol: [] for symbol in rules}
        self.countdowns: dict[tuple[str, str], CountdownSet] = {}
        self._positions: dict[str, dict[str, Position]] = defaultdict(dict)

    def position(self, account: str, symbol: str) -> Position:
        """The account's position, empty at first; only `apply` changes it."""
        positions = self._positions[account]
        if symbol not in positions:
            positions[symbol] = Position()
        return positions[symbol]

    def positions(self, account: str) -> dict[str, Position]:
        """Every symbol's position, the empty ones as well."""
        return {symbol: self.position(account, symbol) for symbol in self.rules}

    def accounts(self) -> list[str]:
        return list(self.wallets_e8)

    def locked_e8(self, order: Order) -> int:
        return 0

    def _credit(self, record: Deposited) -> None:
        self._book(
            record.account, EntryKind.TRANSFER, record.asset, record.amount_e8, record.time_ms
        )

    def _lock(self, order: Order, amount_e8: int) -> None:
        """Margin for orders is worked out anew whenever it is asked for."""

    def _settle(self, record: OrderFilled, released_e8: int) -> None:
        position = self.position(record.account, record.symbol)
        realised_e8 = position.trade(record.side, record.quantity_e8, record.quote_e8)
        if realised_e8 != record.realised_e8:
            msg = f"trade {record.trade_id} realised {realised_e8}, not {record.realised_e8}"
            raise LedgerError(msg)
        position.update_ms = record.time_ms
        for kind, amount_e8 in (
            (EntryKind.REALISED, realised_e8),
            (EntryKind.COMMISSION, -record.fee_e8),
        ):
            self._book(
                record.account,
                kind,
                record.fee_asset,
                amount_e8,
                record.time_ms,
                symbol=record.symbol,
                trade_id=record.trade_id,
            )

    def _apply_futures(self, record: FuturesRecord) -> None:
        match record:
            case PositionConfigured():
                position = self.position(record.account, record.symbol)
                position.leverage = record.leverage
                position.isolated = record.isolated
            case FundingSettled():
                self.fundings[record.symbol].append(record)
            case FundingPaid():
                position = self.position(record.account, record.symbol)
                if position.isolated:
                    position.isolated_e8 += record.amount_e8
                self._book(
                    record.account,
                    EntryKind.FUNDING,
                    record.asset,
                    record.amount_e8,
                    record.time_ms,
                    symbol=record.symbol,
                )
            case CountdownSet():
                if record.due_ms:
                    self.countdowns[record.account, record.symbol] = record
                else:
                    self.countdowns.pop((record.account, record.symbol), None)
            case _:
                assert_never(record)

    def _book(
        self,
        account: str,
        kind: EntryKind,
        asset: str,
        amount_e8: int,
        time_ms: int,
        *,
        symbol: str = "",
        trade_id: int | None = None,
    ) -> None:
        self.wallets_e8[account][asset] += amount_e8
        if amount_e8:
            entries = self.entries[account]
            number = len(entries) + 1
            entries.append(Entry(number, kind, symbol, asset, amount_e8, time_ms, trade_id))
