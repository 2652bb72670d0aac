"""The spot account model: a free and a locked balance of every asset."""

from collections import defaultdict
from dataclasses import dataclass

from simulator.records import Deposited, OrderFilled, OrderType, Side
from simulator.state import FuturesRecord, LedgerError, Order, State
from simulator.symbols import Rules
from simulator.units import notional_e8


@dataclass(slots=True)
class Balance:
    free_e8: int = 0
    locked_e8: int = 0


class SpotState(State):
    """Balances beside the orders; a buy holds back quote, a sell base."""

    def __init__(self, rules: dict[str, Rules]) -> None:
        super().__init__(rules)
        self.balances: dict[str, dict[str, Balance]] = defaultdict(lambda: defaultdict(Balance))
        #: What the market side gave and got, by asset.
        self.counterparty_e8: dict[str, int] = defaultdict(int)

    def locked_e8(self, order: Order) -> int:
        """A market order never rests, so it holds nothing back."""
        if order.type is OrderType.MARKET or not order.is_open:
            return 0
        if order.side is Side.SELL:
            return order.remaining_e8
        return notional_e8(order.price_e8, order.remaining_e8)

    def _credit(self, record: Deposited) -> None:
        self._move(record.account, record.asset, free_e8=record.amount_e8)

    def _lock(self, order: Order, amount_e8: int) -> None:
        rules = self.rules[order.symbol]
        spent = rules.quote if order.side is Side.BUY else rules.base
        self._move(order.account, spent, free_e8=-amount_e8, locked_e8=amount_e8)

    def _settle(self, record: OrderFilled, released_e8: int) -> None:
        rules = self.rules[record.symbol]
        if record.side is Side.BUY:
            spent, spent_e8 = rules.quote, record.quote_e8
            got, got_e8 = rules.base, record.quantity_e8
        else:
            spent, spent_e8 = rules.base, record.quantity_e8
            got, got_e8 = rules.quote, record.quote_e8
        self._move(record.account, spent, free_e8=released_e8 - spent_e8, locked_e8=-released_e8)
        self._move(record.account, got, free_e8=got_e8)
        self._move(record.account, record.fee_asset, free_e8=-record.fee_e8)
        self.counterparty_e8[spent] += spent_e8
        self.counterparty_e8[got] -= got_e8

    def _apply_futures(self, record: FuturesRecord) -> None:
        msg = f"the spot market has no positions, was told {record}"
        raise LedgerError(msg)

    def _move(self, account: str, asset: str, *, free_e8: int, locked_e8: int = 0) -> None:
        balance = self.balances[account][asset]
        balance.free_e8 += free_e8
        balance.locked_e8 += locked_e8
        if balance.free_e8 < 0 or balance.locked_e8 < 0:
            msg = f"{account}: {asset} would be {balance}"
            raise LedgerError(msg)
