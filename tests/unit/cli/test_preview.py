"""Grids looked at before they are added."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import cli.symbol
from cli.exits import Exit
from cli.ladder_picture import Rung
from cli.preview import planned_rungs, preview
from domain.errors import ConfigurationError, RequestRefused
from domain.ids import Side
from domain.market import Quote
from grid.spec import GridSpec
from support.command_line import CommandLine
from support.fake_exchange import FakeExchange

GRID = (
    *("--step", "300", "--buy-window", "2", "--sell-window", "3"),
    *("--order-base", "0.001", "--budget", "1000"),
)


def make_spec(**changes: Any) -> GridSpec:
    document: dict[str, Any] = {
        "spacing": {"kind": "arithmetic", "step": "300"},
        "range": {"kind": "window", "buy_window": 2, "sell_window": 3},
        "order_size": {"kind": "base", "amount": "0.001"},
        "budget_quote": "1000",
    }
    return GridSpec.model_validate(document | changes)


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> FakeExchange:
    exchange = FakeExchange()
    exchange.set_price("60000", "60000.01", 0)
    monkeypatch.setattr(cli.symbol, "open_exchange", lambda settings: exchange)
    return exchange


def rung(price: str, side: Side, note: str) -> Rung:
    return Rung(price=Decimal(price), side=side, quantity=Decimal("0.001"), note=note)


async def test_preview_of_a_long_grid_buys_below_and_sells_what_it_bought(
    exchange: FakeExchange,
) -> None:
    seen = await preview(exchange, "BTC/USDT", make_spec())
    assert planned_rungs(seen) == [
        rung("59700", Side.BUY, "then sell at 60000"),
        rung("59400", Side.BUY, "then sell at 59700"),
    ]
    assert seen.start == 60_000


async def test_preview_of_a_neutral_grid_has_both_sides(exchange: FakeExchange) -> None:
    spec = make_spec(mode="neutral", base_inventory="0.001", max_open_orders=2)
    assert planned_rungs(await preview(exchange, "BTC/USDT", spec)) == [
        rung("59700", Side.BUY, "then sell at 60000"),
        rung("60300", Side.SELL, "then buy back at 60000"),
    ]


async def test_preview_of_an_initial_position_shows_the_exits_it_is_for(
    exchange: FakeExchange,
) -> None:
    spec = make_spec(initial_position=True, max_open_orders=2)
    assert planned_rungs(await preview(exchange, "BTC/USDT", spec)) == [
        rung("60600", Side.SELL, "bought at once, at 60300.01 at worst"),
        rung("60900", Side.SELL, "bought at once, at 60300.01 at worst"),
    ]


async def test_preview_of_a_triggered_grid_is_of_the_trigger(exchange: FakeExchange) -> None:
    seen = await preview(exchange, "BTC/USDT", make_spec(trigger_price="50000"))
    assert (seen.price, seen.start) == (60_000, 50_000)
    assert [order.price for order in seen.orders] == [49_700, 49_400]


async def test_preview_changes_nothing_at_the_exchange(exchange: FakeExchange) -> None:
    await preview(exchange, "BTC/USDT", make_spec())
    assert exchange.orders == {}


async def test_preview_of_what_is_not_traded_is_refused(exchange: FakeExchange) -> None:
    with pytest.raises(RequestRefused, match="not traded on account sim"):
        await preview(exchange, "XRP/USDT", make_spec())


async def test_preview_without_a_price_is_refused(
    exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def empty(symbol: str) -> Quote:
        return Quote(symbol=symbol, bid=None, ask=None, exchange_ms=0)

    monkeypatch.setattr(exchange, "fetch_quote", empty)
    with pytest.raises(RequestRefused, match="its book is empty"):
        await preview(exchange, "BTC/USDT", make_spec())


async def test_preview_of_a_grid_that_cannot_work_is_refused(exchange: FakeExchange) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await preview(exchange, "BTC/USDT", make_spec(budget_quote="1"))
    assert caught.value.field == "budget_quote"


@pytest.mark.usefixtures("exchange")
def test_check_as_json_has_the_report_and_every_order(gridkeeper: CommandLine) -> None:
    answer = gridkeeper.json("symbol", "check", "BTC/USDT", *GRID)
    assert answer["check"]["lowest_buy"] == "59400"
    assert answer["maker_fee"] == "0.0001"
    assert answer["orders"][0] == {
        "side": "buy",
        "at_once": False,
        "price": "59700",
        "quantity": "0.001",
        "exit_price": "60000",
    }


@pytest.mark.usefixtures("exchange")
def test_check_of_a_grid_that_cannot_work_is_refused_with_the_remedy(
    gridkeeper: CommandLine,
) -> None:
    answer = gridkeeper.json(
        *("symbol", "check", "BTC/USDT", *GRID, "--take-profit-price", "50000"), code=Exit.REFUSED
    )
    assert answer["error"]["field"] == "--take-profit-price"
    assert answer["error"]["remedy"] == "use a higher price"
