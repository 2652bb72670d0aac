"""Each venue's record against unmodified ccxt: what leaves, and what replies come back as."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.errors import OrderNotFound, OwnershipLost, TransientVenueError
from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId
from domain.orders import Intent, VenueStatus
from exchanges.account import AccountConfig, Mode
from exchanges.ccxt_exchange import CcxtExchange
from exchanges.connection import DEFAULT_RETRY_AFTER_S
from exchanges.venues import VENUES
from integration.exchanges import harness
from integration.exchanges.recorded import SILENCE, Answer, RecordedVenue, Route, make_certificate
from integration.exchanges.shapes.bitget import Bitget
from integration.exchanges.shapes.bitvavo import Bitvavo
from integration.exchanges.shapes.bybit import Bybit
from integration.exchanges.shapes.coinbase import Coinbase
from integration.exchanges.shapes.common import (
    FILLED,
    FREE,
    LOCKED,
    ORDER_ID,
    PRICE,
    QUANTITY,
    TRADED_MS,
    Shapes,
    State,
)
from integration.exchanges.shapes.gate import Gate
from integration.exchanges.shapes.kraken import VENUE_S, Kraken
from integration.exchanges.shapes.okx import Okx
from ports.exchange import Accepted, NotSent, Outcome, Refused, StreamRestored, Undetermined

SHAPES: tuple[type[Shapes], ...] = (Bybit, Okx, Kraken, Bitget, Gate, Bitvavo, Coinbase)


@dataclass
class Desk:
    """A venue of recorded shapes and the adapter that trades on it."""

    shapes: Shapes
    recorded: RecordedVenue
    exchange: CcxtExchange

    def answer(self, route: Route, answer: Answer) -> None:
        self.recorded.routes[route] = answer

    def refuse_place(self, answer: Answer) -> None:
        self.answer(self.shapes.place, answer)

    async def place(self, item: Intent) -> Outcome:
        instrument = (await self.exchange.load_instruments())[self.shapes.symbol]
        plan = harness.plan(places=(item,))
        (outcome,) = (await self.exchange.submit(plan, instrument, harness.held)).places
        return outcome

    async def cancel(self, name: ClientOrderId) -> Outcome:
        instrument = (await self.exchange.load_instruments())[self.shapes.symbol]
        plan = harness.plan(cancels=(name,))
        (outcome,) = (await self.exchange.submit(plan, instrument, harness.held)).cancels
        return outcome

    def fields_sent(self, route: Route) -> dict[str, Any]:
        """Of the only request to this route."""
        (request,) = self.recorded.asked(route)
        return {
            name: value
            for name, value in request.fields.items()
            if name not in self.shapes.volatile
        }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=SHAPES, ids=lambda shapes: shapes.venue)
async def desk(
    request: pytest.FixtureRequest, certificate: tuple[Path, Path], tmp_path: Path
) -> AsyncIterator[Desk]:
    shapes: Shapes = request.param()
    recorded = RecordedVenue(tmp_path, dict(shapes.routes()))
    account = AccountConfig(
        name="main",
        venue=shapes.venue,
        mode=Mode.SIMULATOR,
        simulator_file=recorded.address_file,
        api_key="key",
        api_secret=shapes.secret,
        api_passphrase="passphrase",
        timeout_ms=1_000,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(recorded.running(*certificate))
        exchange = CcxtExchange(account)
        stack.push_async_callback(exchange.close)
        yield Desk(shapes, recorded, exchange)
    assert recorded.unforeseen == []


def buy(exchange: CcxtExchange, generation: int = 1) -> Intent:
    """A post-only buy at `PRICE` of `QUANTITY`."""
    tag = OrderTag(
        nonce=5,
        shard=1,
        slot=SlotId(0, -3),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=generation,
    )
    return Intent(
        client_order_id=exchange.ids.encode(tag),
        tag=tag,
        price_ticks=4_000_000,
        quantity_lots=1_000,
    )


async def test_instruments_are_the_venues_rules(desk: Desk) -> None:
    (instrument,) = (await desk.exchange.load_instruments()).values()
    assert instrument.symbol == desk.shapes.symbol
    assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.01"), Decimal("0.00001"))
    assert 0 < instrument.maker_fee <= instrument.taker_fee < Decimal("0.01")


async def test_place_leaves_with_our_id_post_only_and_nothing_unknown(desk: Desk) -> None:
    item = buy(desk.exchange)
    placed = await desk.place(item)
    assert desk.fields_sent(desk.shapes.place) == desk.shapes.sent_by_place(item.client_order_id)
    assert isinstance(placed, Accepted)
    report = placed.report
    assert (report.client_order_id, report.venue_order_id) == (item.client_order_id, ORDER_ID)
    assert (report.status, report.side, report.filled) == (VenueStatus.OPEN, Side.BUY, 0)
    assert (report.price, report.quantity) == (Decimal(PRICE), Decimal(QUANTITY))
    assert re.fullmatch(VENUES[desk.shapes.venue].ids.pattern, item.client_order_id)


async def test_cancel_leaves_with_our_id_and_ends_the_order(desk: Desk) -> None:
    item = buy(desk.exchange)
    await desk.place(item)
    cancelled = await desk.cancel(item.client_order_id)
    assert desk.fields_sent(desk.shapes.cancel) == desk.shapes.sent_by_cancel(item.client_order_id)
    assert isinstance(cancelled, Accepted)
    assert cancelled.report.client_order_id == item.client_order_id
    assert cancelled.report.status is VenueStatus.CANCELLED


@pytest.mark.parametrize(
    ("state", "status", "filled"),
    [
        (State.OPEN, VenueStatus.OPEN, "0"),
        (State.PARTLY, VenueStatus.OPEN, FILLED),
        (State.FILLED, VenueStatus.FILLED, QUANTITY),
        (State.CANCELLED, VenueStatus.CANCELLED, "0"),
    ],
)
async def test_order_is_found_by_our_id_in_every_state(
    desk: Desk, state: State, status: VenueStatus, filled: str
) -> None:
    name = buy(desk.exchange).client_order_id
    desk.shapes.orders[name] = state
    report = await desk.exchange.fetch_order(desk.shapes.symbol, name)
    assert (report.client_order_id, report.venue_order_id) == (name, ORDER_ID)
    assert (report.status, report.filled) == (status, Decimal(filled))


async def test_order_that_the_venue_does_not_know_is_not_found(desk: Desk) -> None:
    desk.shapes.orders[buy(desk.exchange, generation=2).client_order_id] = State.OPEN
    with pytest.raises(OrderNotFound):
        await desk.exchange.fetch_order(desk.shapes.symbol, buy(desk.exchange).client_order_id)


async def test_open_orders_are_ours_and_those_of_others(desk: Desk) -> None:
    item = buy(desk.exchange)
    desk.shapes.orders |= {item.client_order_id: State.PARTLY, "": State.OPEN}
    reports = await desk.exchange.fetch_open_orders(desk.shapes.symbol)
    tags = {desk.exchange.ids.decode(report.client_order_id) for report in reports}
    assert tags == {item.tag, None}


async def test_own_trade_keeps_every_digit(desk: Desk) -> None:
    (trade,) = await desk.exchange.fetch_trades(desk.shapes.symbol)
    assert (trade.symbol, trade.venue_order_id) == (desk.shapes.symbol, ORDER_ID)
    assert (trade.price, trade.quantity) == (Decimal(PRICE), Decimal(FILLED))
    assert (trade.side, trade.is_maker, trade.traded_ms) == (Side.BUY, True, TRADED_MS)
    assert trade.fee_asset in desk.shapes.symbol.split("/")
    assert trade.fee > 0
    assert await desk.exchange.fetch_last_trade_id(desk.shapes.symbol) == trade.trade_id
    later = await desk.exchange.fetch_trades(desk.shapes.symbol, after_trade_id=trade.trade_id)
    assert later == []


async def test_balances_are_free_plus_locked(desk: Desk) -> None:
    balances = await desk.exchange.fetch_balances()
    assert balances == {desk.shapes.symbol.split("/")[1]: Decimal(FREE) + Decimal(LOCKED)}


async def test_quote_has_both_sides(desk: Desk) -> None:
    quote = await desk.exchange.fetch_quote(desk.shapes.symbol)
    assert (quote.bid, quote.ask) == (Decimal("39999.9"), Decimal("40000.1"))


async def test_duplicate_id_is_refused_or_finds_the_order_that_has_it(desk: Desk) -> None:
    item = buy(desk.exchange)
    await desk.place(item)
    if desk.shapes.duplicate is not None:
        desk.refuse_place(desk.shapes.duplicate)
    again = await desk.place(item)
    if desk.shapes.duplicate is not None:
        assert isinstance(again, Refused)
        assert again.reason == "duplicate"
    else:
        assert isinstance(again, Accepted)
        assert again.report.venue_order_id == ORDER_ID


async def test_place_without_funds_is_refused(desk: Desk) -> None:
    desk.refuse_place(desk.shapes.no_funds)
    outcome = await desk.place(buy(desk.exchange))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "insufficient_funds"


async def test_post_only_order_that_would_cross_does_not_rest(desk: Desk) -> None:
    item = buy(desk.exchange)
    if desk.shapes.would_cross is not None:
        desk.refuse_place(desk.shapes.would_cross)
        outcome = await desk.place(item)
        assert isinstance(outcome, Refused)
        assert outcome.reason == "would_cross"
        return
    assert desk.shapes.crossed is not None
    desk.shapes.orders[item.client_order_id] = desk.shapes.crossed
    outcome = await desk.place(item)
    assert isinstance(outcome, Accepted)
    assert outcome.report.status in {VenueStatus.CANCELLED, VenueStatus.REJECTED}


async def test_cancel_of_an_order_that_is_gone_is_refused(desk: Desk) -> None:
    item = buy(desk.exchange)
    desk.shapes.orders[item.client_order_id] = State.OPEN
    desk.answer(desk.shapes.cancel, desk.shapes.not_found)
    outcome = await desk.cancel(item.client_order_id)
    assert isinstance(outcome, Refused)
    assert outcome.reason == desk.shapes.gone


async def test_rate_limit_means_not_sent_and_quiet(desk: Desk) -> None:
    served = desk.recorded.routes[desk.shapes.place]
    desk.refuse_place(desk.shapes.too_fast)
    assert isinstance(await desk.place(buy(desk.exchange)), NotSent)
    refused_s = time.monotonic()
    desk.recorded.routes[desk.shapes.place] = served
    assert isinstance(await desk.place(buy(desk.exchange)), Accepted)
    assert time.monotonic() - refused_s > 0.9 * DEFAULT_RETRY_AFTER_S


async def test_lost_lease_sends_nothing(desk: Desk) -> None:
    def lose_the_lease() -> None:
        raise OwnershipLost("gone")

    item = buy(desk.exchange)
    desk.shapes.orders[item.client_order_id] = State.OPEN
    instrument = (await desk.exchange.load_instruments())[desk.shapes.symbol]
    plan = harness.plan(places=(item,), cancels=(item.client_order_id,))
    outcomes = await desk.exchange.submit(plan, instrument, lose_the_lease)
    assert [type(outcome) for outcome in (*outcomes.cancels, *outcomes.places)] == [NotSent] * 2
    assert desk.recorded.asked(desk.shapes.place) == desk.recorded.asked(desk.shapes.cancel) == []


async def test_place_carries_the_window_in_which_the_venue_takes_it(desk: Desk) -> None:
    expiry = VENUES[desk.shapes.venue].expiry
    await desk.place(buy(desk.exchange))
    (sent,) = desk.recorded.asked(desk.shapes.place)
    window_ms = desk.exchange.capabilities.request_expiry_ms
    if expiry is None:
        assert window_ms is None
    elif expiry.deadline is None:
        assert sent.headers[expiry.name] == str(window_ms)
    else:
        assert window_ms is not None
        deadline_s = datetime.fromisoformat(sent.fields[expiry.deadline]).timestamp()
        # Counted from the venue's clock, which tells whole seconds.
        signed_s = deadline_s - window_ms / 1000
        assert signed_s == pytest.approx(VENUE_S, abs=60)


@pytest.mark.parametrize("desk", [Bitvavo, Coinbase], indirect=True)
async def test_account_without_a_stream_is_polled(desk: Desk) -> None:
    assert VENUES[desk.shapes.venue].user_streams == ()
    async with aclosing(desk.exchange.watch_account()) as events:
        assert isinstance(await anext(events), StreamRestored)


@pytest.mark.parametrize("kind", ["place", "cancel"])
async def test_silence_leaves_the_outcome_open(desk: Desk, kind: str) -> None:
    item = buy(desk.exchange)
    desk.shapes.orders[item.client_order_id] = State.OPEN
    desk.answer(desk.shapes.place if kind == "place" else desk.shapes.cancel, SILENCE)
    send: Callable[[], Any] = {
        "place": lambda: desk.place(item),
        "cancel": lambda: desk.cancel(item.client_order_id),
    }[kind]
    assert isinstance(await send(), Undetermined)


async def test_receipt_whose_order_is_not_seen_yet_leaves_the_outcome_open(desk: Desk) -> None:
    venue = VENUES[desk.shapes.venue]
    item = buy(desk.exchange)
    route = desk.shapes.cancel
    taken = desk.recorded.routes[route]
    desk.shapes.orders[item.client_order_id] = State.OPEN

    def take_but_do_nothing(asked: Any) -> Any:
        assert callable(taken)
        answer = taken(asked)
        desk.shapes.orders[item.client_order_id] = State.OPEN
        return answer

    desk.recorded.routes[route] = take_but_do_nothing
    outcome = await desk.cancel(item.client_order_id)
    expected = Undetermined if venue.cancel_reply == "a receipt" else Accepted
    assert isinstance(outcome, expected)


async def test_venue_that_fails_on_a_query_is_transient(desk: Desk) -> None:
    for method, path in list(desk.recorded.routes):
        desk.answer((method, path), Answer({"oops": True}, status=503))
    with pytest.raises(TransientVenueError):
        await desk.exchange.fetch_balances()
