"""Orders of perpetuals are placed by fives, and each keeps its own outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import OwnershipLost
from domain.ids import Purpose
from domain.instrument import Instrument, MarketKind
from domain.orders import Intent
from exchanges.ccxt_exchange import CcxtExchange
from integration.exchanges.conftest import Connect
from integration.exchanges.harness import Venue, intent, plan
from ports.exchange import Accepted, NotSent, Outcome, Refused, Undetermined

SYMBOL = "BTC/USDT:USDT"
BATCH = {"method": "POST", "path": "/fapi/v1/batchOrders"}


class Requests:
    """A guard that counts what leaves."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self) -> None:
        self.left += 1


@pytest.fixture
async def exchange(connect: Connect) -> CcxtExchange:
    return connect(market=MarketKind.LINEAR)


@pytest.fixture
async def contract(exchange: CcxtExchange) -> Instrument:
    return (await exchange.load_instruments())[SYMBOL]


async def entries(exchange: CcxtExchange, contract: Instrument, count: int) -> tuple[Intent, ...]:
    """Orders to buy that rest, a tenth and more below the price."""
    quote = await exchange.fetch_quote(SYMBOL)
    assert quote.bid is not None
    highest = int(quote.bid / contract.tick_size) * 9 // 10
    return tuple(
        intent(exchange, price_ticks=highest - 10 * step, quantity_lots=20) for step in range(count)
    )


async def crossing(exchange: CcxtExchange, contract: Instrument) -> Intent:
    """A post-only order through the market."""
    quote = await exchange.fetch_quote(SYMBOL)
    assert quote.ask is not None
    ticks = int(quote.ask / contract.tick_size) * 101 // 100
    return intent(exchange, price_ticks=ticks, quantity_lots=20)


async def send(
    exchange: CcxtExchange, contract: Instrument, *items: Intent
) -> tuple[int, tuple[Outcome, ...]]:
    """How many requests left, and what became of the orders."""
    requests = Requests()
    outcomes = await exchange.submit(plan(places=items), contract, requests)
    return requests.left, outcomes.places


async def test_orders_of_a_plan_are_placed_by_fives(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    items = await entries(exchange, contract, 7)
    left, outcomes = await send(exchange, contract, *items)
    assert left == 2
    assert [o.report.client_order_id for o in outcomes if isinstance(o, Accepted)] == [
        item.client_order_id for item in items
    ]
    resting = await exchange.fetch_open_orders(SYMBOL)
    assert {(order.client_order_id, order.price) for order in resting} == {
        (item.client_order_id, contract.ticks_to_price(item.price_ticks)) for item in items
    }


async def test_refusals_in_a_batch_are_their_own_orders(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    good = await entries(exchange, contract, 2)
    through = await crossing(exchange, contract)
    nothing = replace(
        await crossing(exchange, contract), post_only=False, reduce_only=True, quantity_lots=30
    )
    left, outcomes = await send(exchange, contract, through, good[0], nothing, good[1])
    assert left == 1
    assert [o.reason if isinstance(o, Refused) else type(o) for o in outcomes] == [
        "would_cross",
        Accepted,
        "reduce_only",
        Accepted,
    ]
    resting = await exchange.fetch_open_orders(SYMBOL)
    assert {order.client_order_id for order in resting} == {o.client_order_id for o in good}


async def test_exits_do_not_share_a_request_with_entries(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    items = await entries(exchange, contract, 4)
    exits = [replace(item, tag=replace(item.tag, purpose=Purpose.EXIT)) for item in items[2:]]
    left, outcomes = await send(exchange, contract, *items[:2], *exits)
    assert left == 2
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


async def test_batch_whose_reply_is_lost_leaves_all_its_orders_undetermined(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    await venue.arm(kind="timeout_accepted", delay_s=3, **BATCH)
    items = await entries(exchange, contract, 3)
    _, outcomes = await send(exchange, contract, *items)
    assert all(isinstance(outcome, Undetermined) for outcome in outcomes)
    for item in items:
        found = await exchange.fetch_order(SYMBOL, item.client_order_id)
        assert found.client_order_id == item.client_order_id


async def test_batch_that_the_guard_stops_is_not_sent(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    def guard() -> None:
        raise OwnershipLost("the lease has run out")

    items = await entries(exchange, contract, 3)
    outcomes = (await exchange.submit(plan(places=items), contract, guard)).places
    assert all(isinstance(outcome, NotSent) for outcome in outcomes)
    assert await venue.ledger("order_accepted") == []


async def test_order_that_fits_no_step_keeps_none_of_its_batch_back(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    finer = replace(contract, tick_size=contract.tick_size / 10)
    items = [
        replace(item, price_ticks=item.price_ticks * 10)
        for item in await entries(exchange, contract, 3)
    ]
    between = replace(items[1], price_ticks=items[1].price_ticks + 5)
    left, outcomes = await send(exchange, finer, items[0], between, items[2])
    assert left == 1
    assert [o.reason if isinstance(o, Refused) else type(o) for o in outcomes] == [
        Accepted,
        "filter",
        Accepted,
    ]


async def test_single_order_goes_by_itself(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    await venue.arm(kind="error", status=503, **BATCH)
    left, (outcome,) = await send(exchange, contract, *await entries(exchange, contract, 1))
    assert left == 1
    assert isinstance(outcome, Accepted)
