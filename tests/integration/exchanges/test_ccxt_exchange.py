"""The adapter's requests against the simulated venue, over TLS, with unmodified ccxt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import (
    AuthenticationRefused,
    OrderNotFound,
    OwnershipLost,
    TransientVenueError,
)
from domain.ids import ClientOrderId, Purpose, Side
from domain.orders import VenueStatus
from exchanges import queries
from exchanges.ccxt_exchange import CcxtExchange
from integration.exchanges.conftest import Connect
from integration.exchanges.harness import (
    CANCEL,
    LOW_TICKS,
    PLACE,
    SYMBOL,
    Reader,
    Venue,
    cancel,
    held,
    intent,
    place,
    plan,
)
from ports.exchange import Accepted, NotSent, Outcome, Refused, StreamRestored, Undetermined

NOBODY = ClientOrderId("nobody")


async def ask_ticks(exchange: CcxtExchange) -> int:
    quote = await exchange.fetch_quote(SYMBOL)
    assert quote.ask is not None
    return (await exchange.load_instruments())[SYMBOL].price_to_ticks(quote.ask)


async def buy_at_once(exchange: CcxtExchange, quantity_lots: int = 1_000) -> None:
    crossing = intent(
        exchange,
        price_ticks=await ask_ticks(exchange) + 10_000,
        quantity_lots=quantity_lots,
        post_only=False,
    )
    outcome = await place(exchange, crossing)
    assert isinstance(outcome, Accepted)
    assert outcome.report.status is VenueStatus.FILLED


def accepted_ids(outcomes: Sequence[Outcome]) -> list[ClientOrderId]:
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    return [outcome.report.client_order_id for outcome in accepted]


def lose_the_lease() -> None:
    raise OwnershipLost("gone")


async def test_instruments_are_the_venues_rules(exchange: CcxtExchange) -> None:
    instruments = await exchange.load_instruments()
    btc = instruments[SYMBOL]
    assert set(instruments) == {f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "BNB", "XRP")}
    assert (str(btc.tick_size), str(btc.lot_size)) == ("0.01", "0.00001")
    assert btc.min_notional == 5
    assert (btc.account, btc.maker_fee, btc.version) == ("sim", Decimal("0.001"), 1)


async def test_order_lives_from_place_to_cancel(exchange: CcxtExchange) -> None:
    item = intent(exchange)
    placed = await place(exchange, item)
    assert isinstance(placed, Accepted)
    assert placed.report.status is VenueStatus.OPEN
    assert placed.report.client_order_id == item.client_order_id
    assert await exchange.fetch_open_orders(SYMBOL) == [placed.report]
    assert await exchange.fetch_order(SYMBOL, item.client_order_id) == placed.report

    cancelled = await cancel(exchange, item.client_order_id)
    assert isinstance(cancelled, Accepted)
    assert cancelled.report.client_order_id == item.client_order_id
    assert cancelled.report.status is VenueStatus.CANCELLED
    assert await exchange.fetch_open_orders(SYMBOL) == []


async def test_plan_cancels_and_places_with_one_outcome_each(exchange: CcxtExchange) -> None:
    old = [intent(exchange, price_ticks=LOW_TICKS + step) for step in range(3)]
    new = [intent(exchange, price_ticks=LOW_TICKS + 10 + step) for step in range(12)]
    instrument = (await exchange.load_instruments())[SYMBOL]
    await exchange.submit(plan(places=tuple(old)), instrument, held)
    outcomes = await exchange.submit(
        plan(places=tuple(new), cancels=(NOBODY, *(item.client_order_id for item in old))),
        instrument,
        held,
    )
    unknown, *cancelled = outcomes.cancels
    assert isinstance(unknown, Refused)
    assert unknown.reason == "not_found"
    assert accepted_ids(cancelled) == [item.client_order_id for item in old]
    assert accepted_ids(outcomes.places) == [item.client_order_id for item in new]
    assert len(await exchange.fetch_open_orders(SYMBOL)) == 12


@pytest.mark.parametrize(
    ("symbol", "steps", "wire"),
    [
        ("BTC/USDT", (4_000_001, 12_345), ("40000.01", "0.12345")),
        ("XRP/USDT", (4_001, 1_234), ("0.4001", "123.4")),
        ("SOL/USDT", (12_003, 7_001), ("120.03", "7.001")),
    ],
)
async def test_price_and_quantity_arrive_exactly(
    exchange: CcxtExchange,
    venue: Venue,
    symbol: str,
    steps: tuple[int, int],
    wire: tuple[str, str],
) -> None:
    instrument = (await exchange.load_instruments())[symbol]
    item = intent(exchange, price_ticks=steps[0], quantity_lots=steps[1])
    await exchange.submit(plan(places=(item,)), instrument, held)
    (accepted,) = await venue.ledger("order_accepted")
    assert accepted["client_order_id"] == item.client_order_id
    assert accepted["type"] == "LIMIT_MAKER"
    assert (Decimal(accepted["price"]), Decimal(accepted["quantity"])) == tuple(map(Decimal, wire))


async def test_post_only_order_that_crosses_is_refused(exchange: CcxtExchange) -> None:
    crossing = intent(exchange, price_ticks=await ask_ticks(exchange) + 100)
    outcome = await place(exchange, crossing)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "would_cross"


async def test_duplicate_client_id_is_refused(exchange: CcxtExchange) -> None:
    item = intent(exchange)
    await place(exchange, item)
    outcome = await place(exchange, item)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "duplicate"


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param({"quantity_lots": 5_000_000}, "insufficient_funds", id="buy-too-much"),
        pytest.param(
            {"side": Side.SELL, "price_ticks": 9_000_000}, "insufficient_funds", id="sell-nothing"
        ),
        pytest.param({"quantity_lots": 1}, "filter", id="below-notional"),
        pytest.param({"price_ticks": 100}, "filter", id="far-off"),
    ],
)
async def test_order_against_the_venues_rules_is_refused(
    exchange: CcxtExchange, venue: Venue, order: dict[str, Any], reason: str
) -> None:
    outcome = await place(exchange, intent(exchange, **order))
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert await venue.ledger("order_accepted") == []


async def test_order_in_old_ticks_is_refused_rather_than_rounded(
    exchange: CcxtExchange, venue: Venue
) -> None:
    old = (await exchange.load_instruments())[SYMBOL]
    await venue.arm(kind="filters", symbol="BTCUSDT", filters={"tick_size": "0.1"})
    new = (await exchange.load_instruments())[SYMBOL]
    assert str(new.tick_size) == "0.1"
    off_tick = intent(exchange, price_ticks=LOW_TICKS + 1)
    (outcome,) = (await exchange.submit(plan(places=(off_tick,)), old, held)).places
    assert isinstance(outcome, Refused)
    assert outcome.reason == "filter"
    assert await venue.ledger("order_accepted") == []


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        pytest.param({"kind": "timeout_accepted", "delay_s": 3}, 1, id="timeout-accepted"),
        pytest.param({"kind": "timeout_lost", "delay_s": 3}, 0, id="timeout-lost"),
        pytest.param({"kind": "disconnect"}, 1, id="disconnect-after"),
        pytest.param({"kind": "disconnect", "when": "before"}, 0, id="disconnect-before"),
        pytest.param({"kind": "error", "status": 503}, 0, id="503"),
        pytest.param({"kind": "error_after", "status": 502}, 1, id="502-after"),
        pytest.param(
            {"kind": "error_after", "status": 504, "body": {"code": -1007, "msg": "Timeout"}},
            1,
            id="-1007",
        ),
        pytest.param(
            {"kind": "error_after", "status": 200, "body": {"what": "is this"}}, 1, id="unparsable"
        ),
    ],
)
async def test_place_without_an_answer_is_undetermined(
    exchange: CcxtExchange, venue: Venue, fault: dict[str, Any], accepted: int
) -> None:
    await venue.arm(**fault, **PLACE)
    item = intent(exchange)
    assert isinstance(await place(exchange, item), Undetermined)
    assert len(await venue.ledger("order_accepted")) == accepted
    if accepted:
        report = await exchange.fetch_order(SYMBOL, item.client_order_id)
        assert report.status is VenueStatus.OPEN
    else:
        with pytest.raises(OrderNotFound):
            await exchange.fetch_order(SYMBOL, item.client_order_id)


async def test_cancel_without_an_answer_is_undetermined(
    exchange: CcxtExchange, venue: Venue
) -> None:
    item = intent(exchange)
    await place(exchange, item)
    await venue.arm(kind="timeout_accepted", delay_s=3, **CANCEL)
    assert isinstance(await cancel(exchange, item.client_order_id), Undetermined)
    assert await exchange.fetch_open_orders(SYMBOL) == []


@pytest.mark.parametrize("status", [429, 418])
async def test_rate_limit_of_the_venue_is_not_sent_and_keeps_us_quiet(
    exchange: CcxtExchange, venue: Venue, status: int
) -> None:
    instrument = (await exchange.load_instruments())[SYMBOL]
    await venue.arm(kind="rate_limit", status=status, retry_after_s=30, **PLACE)
    for _ in range(2):
        item = intent(exchange)
        (outcome,) = (await exchange.submit(plan(places=(item,)), instrument, held)).places
        assert isinstance(outcome, NotSent)
    # The fault fires once: the second order never left.
    assert await venue.ledger("order_accepted") == []
    with pytest.raises(TransientVenueError) as refused:
        await exchange.fetch_open_orders(SYMBOL)
    assert 25 < (refused.value.retry_after_s or 0) <= 30


async def test_entries_beyond_this_nodes_part_are_not_sent_and_an_exit_and_a_cancel_still_are(
    exchange: CcxtExchange, venue: Venue
) -> None:
    """A quarter of 100 orders in ten seconds: ten at once, of which one is an exit's."""
    instrument = (await exchange.load_instruments())[SYMBOL]
    exchange.rate.share(4, int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) + 60_000)
    entries = tuple(intent(exchange) for _ in range(20))
    outcomes = await exchange.submit(plan(places=entries), instrument, held)
    sent = [outcome for outcome in outcomes.places if isinstance(outcome, Accepted)]
    assert all(isinstance(o, Accepted | NotSent) for o in outcomes.places)
    assert 9 <= len(sent) < len(entries)
    closing = intent(exchange, purpose=Purpose.EXIT)
    last = plan(places=(closing,), cancels=(entries[0].client_order_id,))
    both = await exchange.submit(last, instrument, held)
    assert isinstance(both.places[0], Accepted)
    assert isinstance(both.cancels[0], Accepted)
    assert len(await venue.ledger("order_accepted")) == len(sent) + 1


async def test_node_without_a_part_sends_and_asks_nothing(
    exchange: CcxtExchange, venue: Venue
) -> None:
    instrument = (await exchange.load_instruments())[SYMBOL]
    exchange.rate.share(0, 0)
    outcomes = await exchange.submit(plan(places=(intent(exchange),)), instrument, held)
    (refused,) = outcomes.places
    assert isinstance(refused, NotSent)
    assert "no share" in refused.message
    assert await venue.ledger("order_accepted") == []


async def test_lost_lease_sends_neither_place_nor_cancel(
    exchange: CcxtExchange, venue: Venue
) -> None:
    resting = intent(exchange)
    await place(exchange, resting)
    assert isinstance(await place(exchange, intent(exchange), lose_the_lease), NotSent)
    cancelled = await cancel(exchange, resting.client_order_id, lose_the_lease)
    assert isinstance(cancelled, NotSent)
    assert len(await venue.ledger("order_accepted")) == 1
    assert len(await exchange.fetch_open_orders(SYMBOL)) == 1


async def test_guard_is_asked_for_each_order_and_for_no_query(exchange: CcxtExchange) -> None:
    asked: list[str] = []
    instrument = (await exchange.load_instruments())[SYMBOL]
    items = tuple(intent(exchange, price_ticks=LOW_TICKS + step) for step in range(3))
    await exchange.submit(plan(places=items), instrument, lambda: asked.append("asked"))
    await exchange.fetch_open_orders(SYMBOL)
    assert len(asked) == 3


async def test_venue_that_is_down_means_not_sent(exchange: CcxtExchange, venue: Venue) -> None:
    instrument = (await exchange.load_instruments())[SYMBOL]
    await venue.kill()
    # A kept connection that broke proves nothing; a refused one proves that nothing was sent.
    outcomes = [
        (await exchange.submit(plan(places=(intent(exchange),)), instrument, held)).places[0]
        for _ in range(3)
    ]
    assert isinstance(outcomes[-1], NotSent)
    with pytest.raises(TransientVenueError):
        await exchange.fetch_open_orders(SYMBOL)


async def test_venue_that_was_never_there_means_not_sent(
    connect: Connect, exchange: CcxtExchange, venue: Venue
) -> None:
    instrument = (await exchange.load_instruments())[SYMBOL]
    lost = connect(simulator_file=venue.data_dir / "nothing.json")
    (outcome,) = (await lost.submit(plan(places=(intent(lost),)), instrument, held)).places
    assert isinstance(outcome, NotSent)
    with pytest.raises(TransientVenueError, match="not running"):
        await lost.fetch_balances()


async def test_clock_that_is_off_is_refused_once_and_then_set_right(
    exchange: CcxtExchange, venue: Venue
) -> None:
    instrument = (await exchange.load_instruments())[SYMBOL]
    await venue.arm(kind="clock_offset_ms", offset_ms=30_000)
    refused, accepted = [
        (await exchange.submit(plan(places=(intent(exchange),)), instrument, held)).places[0]
        for _ in range(2)
    ]
    assert isinstance(refused, NotSent)
    assert isinstance(accepted, Accepted)


async def test_wrong_key_is_an_authentication_error(connect: Connect) -> None:
    stranger = connect(api_secret="wrong")
    with pytest.raises(AuthenticationRefused):
        await stranger.fetch_balances()


async def test_trades_are_complete_over_many_pages(connect: Connect, venue: Venue) -> None:
    exchange = connect(trades_page=2)
    assert await exchange.fetch_trades(SYMBOL) == []
    assert await exchange.fetch_last_trade_id(SYMBOL) is None
    for _ in range(5):
        await buy_at_once(exchange)

    trades = await exchange.fetch_trades(SYMBOL)
    filled = await venue.ledger("order_filled")
    assert [trade.trade_id for trade in trades] == [str(fill["trade_id"]) for fill in filled]
    assert [trade.fee for trade in trades] == [Decimal(fill["fee"]) for fill in filled]
    assert await exchange.fetch_last_trade_id(SYMBOL) == trades[-1].trade_id
    later = await exchange.fetch_trades(SYMBOL, after_trade_id=trades[1].trade_id)
    assert later == trades[2:]
    own = await exchange.fetch_trades(SYMBOL, venue_order_id=trades[0].venue_order_id)
    assert own == [t for t in trades if t.venue_order_id == trades[0].venue_order_id]


async def test_balances_are_free_plus_locked_to_the_last_digit(
    exchange: CcxtExchange, venue: Venue
) -> None:
    await buy_at_once(exchange)
    await place(exchange, intent(exchange))
    balances = await exchange.fetch_balances()
    (account,) = (await venue.control("GET", "state"))["accounts"].values()
    expected = {
        asset: Decimal(amount["free"]) + Decimal(amount["locked"])
        for asset, amount in account["balances"].items()
    }
    assert balances == expected
    assert Decimal(account["balances"]["USDT"]["locked"]) > 0


async def test_quote_is_stamped_with_the_venues_time(exchange: CcxtExchange, venue: Venue) -> None:
    before_ms = (await venue.control("GET", "state"))["time_ms"]
    quote = await exchange.fetch_quote(SYMBOL)
    after_ms = (await venue.control("GET", "state"))["time_ms"]
    assert quote.bid is not None
    assert quote.ask is not None
    assert quote.bid < quote.ask
    assert before_ms <= quote.exchange_ms <= after_ms


async def test_requests_at_once_share_one_connection_to_the_venue(exchange: CcxtExchange) -> None:
    balances, orders, instruments = await asyncio.gather(
        exchange.fetch_balances(), exchange.fetch_open_orders(SYMBOL), exchange.load_instruments()
    )
    assert "USDT" in balances
    assert orders == []
    assert SYMBOL in instruments


async def test_orders_are_complete_over_many_pages_with_what_ended(connect: Connect) -> None:
    exchange = connect(trades_page=2)
    assert await exchange.fetch_orders(SYMBOL) == []
    resting = [intent(exchange, price_ticks=LOW_TICKS + step) for step in range(3)]
    for item in resting:
        await place(exchange, item)
    await cancel(exchange, resting[1].client_order_id)
    await buy_at_once(exchange)

    orders = await exchange.fetch_orders(SYMBOL)

    told = [order.report.client_order_id for order in orders]
    assert told[:3] == [item.client_order_id for item in resting]
    statuses = [order.report.status for order in orders]
    assert statuses == [
        VenueStatus.OPEN,
        VenueStatus.CANCELLED,
        VenueStatus.OPEN,
        VenueStatus.FILLED,
    ]
    assert [order.post_only for order in orders] == [True, True, True, False]
    times = [order.placed_ms for order in orders]
    assert times == sorted(times)
    assert all(order.changed_ms >= order.placed_ms for order in orders)
    assert orders[1].changed_ms > orders[1].placed_ms


async def test_newest_orders_are_the_last_ones_ended_or_not(
    exchange: CcxtExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "NEWEST_ORDERS", 2)
    placed = [intent(exchange, price_ticks=LOW_TICKS + step) for step in range(3)]
    for item in placed:
        await place(exchange, item)
    await cancel(exchange, placed[2].client_order_id)
    told = await exchange.fetch_newest_orders(SYMBOL)
    assert [(report.client_order_id, report.status) for report in told] == [
        (placed[1].client_order_id, VenueStatus.OPEN),
        (placed[2].client_order_id, VenueStatus.CANCELLED),
    ]


async def test_keys_that_were_refused_are_told_of_and_others_taken_in_their_place(
    connect: Connect,
) -> None:
    right = connect()
    exchange = connect(api_secret="revoked-meanwhile")
    reader = Reader(exchange.watch_account())
    with pytest.raises(AuthenticationRefused):
        await exchange.fetch_balances()
    async with asyncio.timeout(5):
        await exchange.keys_were_refused()

    assert exchange.take_keys("sim-key", "sim-secret", "")
    assert not exchange.take_keys("sim-key", "sim-secret", "")

    assert await exchange.fetch_balances() == await right.fetch_balances()
    await reader.until(lambda seen: StreamRestored() in seen)
    await reader.close()
