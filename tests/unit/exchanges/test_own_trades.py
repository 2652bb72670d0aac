"""Own trades, complete whatever pages a venue tells them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TransientVenueError
from domain.ids import Side, VenueOrderId
from domain.orders import Trade
from exchanges.capabilities import OwnTrades
from exchanges.own_trades import DAY_MS, TradeHistory

SYMBOL = "BTC/USDT"
NOW_MS = 1_700_000_000_000
BY_TIME = OwnTrades(page=3, window_days=2, history_days=10)


def trade(at_ms: int, number: int, symbol: str = SYMBOL, order: str = "1") -> Trade:
    return Trade(
        symbol=symbol,
        trade_id=f"t{number:03}",
        venue_order_id=VenueOrderId(order),
        side=Side.BUY,
        price=Decimal(1),
        quantity=Decimal(1),
        fee=Decimal(0),
        fee_asset="USDT",
        is_maker=True,
        traded_ms=at_ms,
    )


@dataclass
class Venue:
    """Tells a window's newest trades, as many as a page holds, by times cut to its step."""

    terms: OwnTrades
    trades: list[Trade]
    asked: list[Mapping[str, object]] = field(default_factory=list)

    def history(self, now_ms: int = NOW_MS) -> TradeHistory:
        return TradeHistory(self.terms, self.ask, lambda: now_ms)

    async def ask(
        self, symbol: str, since_ms: int | None, page: int, params: Mapping[str, object]
    ) -> Sequence[Trade]:
        self.asked.append(params)
        until_ms, step_ms = params["until"], self.terms.step_ms
        assert since_ms is not None
        assert isinstance(until_ms, int)
        assert until_ms - since_ms <= self.terms.window_days * DAY_MS
        until_ms -= until_ms % step_ms
        inside = [item for item in self.trades if since_ms <= item.traded_ms <= until_ms]
        if not self.terms.of_account:
            inside = [item for item in inside if item.symbol == symbol]
        return sorted(inside, key=lambda item: item.traded_ms)[-page:]


TIMES = st.lists(st.integers(0, 9 * DAY_MS), max_size=30, unique=True)


@given(TIMES)
async def test_history_is_complete_and_oldest_first(ages_ms: list[int]) -> None:
    made = [trade(NOW_MS - age, number) for number, age in enumerate(ages_ms)]
    told = await Venue(BY_TIME, made).history().after(SYMBOL, None)
    assert told == sorted(made, key=lambda item: item.traded_ms)


@given(TIMES.filter(bool), st.data())
async def test_trades_after_a_known_one_are_all_that_are_newer(
    ages_ms: list[int], data: st.DataObject
) -> None:
    made = [trade(NOW_MS - age, number) for number, age in enumerate(sorted(ages_ms)[::-1])]
    at = data.draw(st.integers(0, len(made) - 1))
    told = await Venue(BY_TIME, made).history().after(SYMBOL, made[at].trade_id)
    assert told == made[at + 1 :]


async def test_second_walk_asks_only_for_what_is_new() -> None:
    venue = Venue(BY_TIME, [trade(NOW_MS - 8 * DAY_MS, 1)])
    history = venue.history()
    (old,) = await history.after(SYMBOL, None)
    venue.asked.clear()
    venue.trades.append(trade(NOW_MS - 5, 2))
    assert [item.trade_id for item in await history.after(SYMBOL, old.trade_id)] == ["t002"]
    venue.asked.clear()
    assert await history.after(SYMBOL, "t002") == []
    assert len(venue.asked) == 1


async def test_quiet_account_is_not_walked_again_and_again() -> None:
    venue = Venue(BY_TIME, [])
    history = venue.history()
    assert await history.after(SYMBOL, None) == []
    venue.asked.clear()
    assert await history.after(SYMBOL, None) == []
    assert len(venue.asked) == 1


async def test_trades_of_one_second_survive_a_venue_that_cuts_times_to_seconds() -> None:
    terms = OwnTrades(page=4, window_days=2, history_days=10, step_ms=1_000)
    # The first page ends amid the older second.
    ages_ms = (5_900, 5_500, 5_100, 3_900, 3_500, 3_100)
    made = [trade(NOW_MS - age_ms, number) for number, age_ms in enumerate(ages_ms)]
    assert await Venue(terms, made).history().after(SYMBOL, None) == made


async def test_more_trades_in_one_step_than_a_page_holds_are_no_silent_loss() -> None:
    made = [trade(NOW_MS - 1_000, number) for number in range(4)]
    with pytest.raises(TransientVenueError, match="3 trades and more"):
        await Venue(BY_TIME, made).history().after(SYMBOL, None)


async def test_pages_of_the_whole_account_are_picked_by_symbol() -> None:
    terms = OwnTrades(page=3, window_days=2, history_days=10, of_account=True)
    made = [
        trade(NOW_MS - 1_000 * number, number, symbol=SYMBOL if number % 3 == 0 else "ETH/USDT")
        for number in range(9)
    ]
    told = await Venue(terms, made).history().after(SYMBOL, None)
    assert [item.trade_id for item in told] == ["t006", "t003", "t000"]


async def test_trades_of_an_order_are_picked_where_the_venue_does_not_narrow_them() -> None:
    made = [trade(NOW_MS - number, number, order=str(number % 2)) for number in range(5)]
    told = await Venue(BY_TIME, made).history().of_order(SYMBOL, "1")
    assert [item.trade_id for item in told] == ["t003", "t001"]


async def test_newest_id_is_that_of_the_newest_trade() -> None:
    venue = Venue(BY_TIME, [trade(NOW_MS - 8 * DAY_MS, 1)])
    history = venue.history()
    assert await history.newest_id(SYMBOL) == "t001"
    venue.trades.append(trade(NOW_MS - 5, 2))
    assert await history.newest_id(SYMBOL) == "t002"
    assert await history.newest_id(SYMBOL) == "t002"
    assert await Venue(BY_TIME, []).history().newest_id(SYMBOL) is None
