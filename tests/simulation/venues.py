"""The two kinds of venue: spot, with its balances, and perpetuals, with margin and funding."""

from __future__ import annotations

from decimal import Decimal

from domain.contracts import Income, IncomeKind, Position
from domain.instrument import MarketKind
from exchanges.contracts import INCOME_KINDS
from exchanges.venues.binance_linear import BINANCE_LINEAR
from simulation.loop import VirtualLoop
from simulation.market import Market
from simulation.portfolio import Margin, Portfolio
from simulation.trace import Trace
from simulation.venue import ACCOUNT, FIRST_ID, SimulatedVenue, of_e8
from simulator import prices
from simulator.config import Limits
from simulator.futures_state import FuturesState
from simulator.futures_venue import FuturesVenue
from simulator.records import OrderType, TimeInForce
from simulator.spot_state import SpotState
from simulator.spot_venue import SpotVenue
from simulator.symbols import Rules

#: A countdown has surely ended so long after its time.
LATE_S = 0.002
#: Marks that a spike may reach, as parts of the price: beyond, no market would follow.
SPIKE_MIN, SPIKE_MAX = Decimal("0.6"), Decimal("1.6")


def open_venue(
    loop: VirtualLoop, trace: Trace, portfolio: Portfolio, *, seed: int
) -> SpotExchange | PerpetualsExchange:
    kind = SpotExchange if portfolio.kind is MarketKind.SPOT else PerpetualsExchange
    return kind(loop, trace, portfolio, seed=seed)


class SpotExchange(SimulatedVenue[SpotVenue]):
    market_name = "spot"

    def __init__(self, loop: VirtualLoop, trace: Trace, portfolio: Portfolio, *, seed: int) -> None:
        core = SpotVenue(SpotState(_rules(portfolio)), Limits(), first_id=FIRST_ID)
        super().__init__(core, loop, trace, portfolio, seed=seed)

    def balances(self) -> dict[str, Decimal]:
        return {
            asset: of_e8(balance.free_e8 + balance.locked_e8)
            for asset, balance in self._core.state.balances[ACCOUNT].items()
        }

    def _limit(self, *, post_only: bool) -> tuple[OrderType, TimeInForce]:
        return OrderType.LIMIT_MAKER if post_only else OrderType.LIMIT, TimeInForce.GTC


class PerpetualsExchange(SimulatedVenue[FuturesVenue]):
    market_name = "futures"

    def __init__(self, loop: VirtualLoop, trace: Trace, portfolio: Portfolio, *, seed: int) -> None:
        core = FuturesVenue(FuturesState(_rules(portfolio)), Limits(), first_id=FIRST_ID)
        super().__init__(core, loop, trace, portfolio, seed=seed)
        for market in self.markets.values():
            self._configure(market, portfolio.margin)
        self._commit()

    def balances(self) -> dict[str, Decimal]:
        wallets = self._core.state.wallets_e8[ACCOUNT]
        return {asset: of_e8(wallet_e8) for asset, wallet_e8 in wallets.items()}

    def position(self, symbol: str) -> Position:
        name = self.markets[symbol].name
        position = self._core.state.position(ACCOUNT, name)
        mark_e8 = self._core.marks_e8[name]
        return Position(
            quantity=of_e8(position.quantity_e8),
            entry_price=of_e8(position.entry_price_e8),
            mark_price=of_e8(mark_e8),
        )

    def income(self, after_ms: int) -> list[Income]:
        return [
            Income(
                kind=kind,
                transaction_id=str(entry.number),
                symbol=self._unified.get(entry.symbol, ""),
                asset=entry.asset,
                amount=of_e8(entry.amount_e8),
                booked_ms=entry.time_ms,
            )
            for kind in IncomeKind
            for entry in self._core.state.entries[ACCOUNT]
            if INCOME_KINDS.get(entry.kind) is kind and entry.time_ms >= after_ms
        ]

    def pay_funding(self, symbol: str, rate_e8: int) -> None:
        self._core.settle_funding(self.markets[symbol].name, rate_e8, self.now_ms())
        self._commit()

    def countdown_s(self, wanted_s: int, symbols: float) -> int:
        return BINANCE_LINEAR.countdown_s(wanted_s, symbols)

    def set_dead_man_switch(self, symbol: str, countdown_s: int) -> None:
        """Cancel what rests of a symbol unless this is asked for again in time; 0 ends it."""
        countdown_ms = countdown_s * 1_000
        self._core.set_countdown(ACCOUNT, self.markets[symbol].name, countdown_ms, self.now_ms())
        self._commit()
        if countdown_s:
            self._loop.later(countdown_s + LATE_S, self._run_countdowns)

    @property
    def armed(self) -> set[str]:
        """Symbols whose dead-man switch runs."""
        return {self._unified[name] for _, name in self._core.state.countdowns}

    def _run_countdowns(self) -> None:
        self._core.run_countdowns(self.now_ms())
        self._commit()

    def spike_mark(self, symbol: str) -> None:
        """For an instant the mark is where it liquidates a position, if that is not too far."""
        market = self.markets[symbol]
        quote = self._core.rules(market.name).quote
        mark_e8 = self._core.marks_e8[market.name]
        position = self._core.state.position(ACCOUNT, market.name)
        standing = self._core.standing(ACCOUNT, quote)
        if not position.quantity_e8:
            return
        price_e8 = standing.liquidation_price_e8(market.name, mark_e8)
        if not SPIKE_MIN <= Decimal(price_e8) / mark_e8 <= SPIKE_MAX:
            return
        self._trace.note(f"the mark of {symbol} spikes")
        self._core.marks_e8[market.name] = price_e8
        self._core.check_margins(self.now_ms())
        self._core.marks_e8[market.name] = mark_e8
        self._commit()

    def _configure(self, market: Market, margin: Margin) -> None:
        self._core.configure(ACCOUNT, market.name, self.now_ms(), leverage=margin.leverage)
        if margin.is_isolated:
            self._core.configure(ACCOUNT, market.name, self.now_ms(), isolated=True)

    def _show(self, market: Market, quote: prices.Quote) -> None:
        super()._show(market, quote)
        middle_e8 = (quote.bid_e8 + quote.ask_e8) // 2
        tick_e8 = self._core.rules(market.name).tick_e8
        self._core.marks_e8[market.name] = middle_e8 - middle_e8 % tick_e8

    def _moved(self) -> None:
        self._core.check_margins(self.now_ms())

    def _limit(self, *, post_only: bool) -> tuple[OrderType, TimeInForce]:
        return OrderType.LIMIT, TimeInForce.GTX if post_only else TimeInForce.GTC


def _rules(portfolio: Portfolio) -> dict[str, Rules]:
    return {symbol.market.name: Rules.of(symbol.market) for symbol in portfolio.symbols}
