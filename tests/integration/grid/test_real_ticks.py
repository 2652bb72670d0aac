"""The level engine on recorded best bids and asks: it misses nothing, and most ticks are quiet."""

from __future__ import annotations

import csv
import gzip
from array import array
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from domain.ids import VenueOrderId
from domain.instrument import Instrument, MarketKind
from domain.market import BookTop
from domain.orders import Open, Order
from ext import _engine, _engine_py
from grid.desired import Stance, desired_orders
from grid.grid import Grid, SlotSide
from grid.phase import Phase, Stage
from grid.plan import diff
from grid.quiet import quiet_band
from grid.spec import GridSpec
from unit.grid.factories import INTENTS

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "binance_bookTicker.csv.gz"
TICKS = 20_000
RUNNING = Phase(stage=Stage.RUNNING)
#: Tick by tick as the recording has it, so that a neutral grid of 5 bp sees many levels.
INSTRUMENT = Instrument(
    account="sim",
    symbol="BTC/USDT:USDT",
    base="BTC",
    quote="USDT",
    kind=MarketKind.LINEAR,
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    min_notional=Decimal(5),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
)
SPEC = GridSpec.model_validate(
    {
        "mode": "neutral",
        "spacing": {"kind": "geometric", "ratio": "1.0005"},
        "range": {"kind": "window", "buy_window": 5, "sell_window": 5},
        "order_size": {"kind": "base", "amount": "0.01"},
        "budget_quote": "100000",
    }
)

pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="no recorded market data here")


def recorded_quotes() -> list[tuple[str, str, int]]:
    """The first best bids and asks of the BTC perpetual, as they were written, and their times."""
    return list(islice(_quotes(), TICKS))


def _quotes() -> Iterator[tuple[str, str, int]]:
    with gzip.open(RECORDED, "rt") as file:
        for row in csv.DictReader(file):
            if (row["market"], row["symbol"]) == ("usdm", "BTCUSDT"):
                yield row["bid"], row["ask"], int(row["event_ms"])


def recorded_books() -> list[BookTop]:
    """The same in ticks."""
    return [
        BookTop(int(Decimal(bid) * 10), int(Decimal(ask) * 10), event_ms)
        for bid, ask, event_ms in recorded_quotes()
    ]


def test_level_table_agrees_with_its_twin_on_recorded_prices() -> None:
    books = recorded_books()
    grid = Grid.fresh(SPEC, INSTRUMENT, INSTRUMENT.ticks_to_price(books[0].mid_ticks))
    levels = array("q", (grid.ladder.price_ticks(index) for index in range(-100, 101)))
    compiled, twin = _engine.LevelTable(levels), _engine_py.LevelTable(levels)
    for book in books:
        below = compiled.index_below(book.mid_ticks)
        assert below == twin.index_below(book.mid_ticks)
        assert below - 100 == grid.ladder.index_below(book.mid_ticks)


def test_quiet_ticks_of_a_recording_are_those_that_change_nothing() -> None:
    """Entries are placed and moved as the price walks; none of them is ever filled here."""
    books = recorded_books()
    grid = Grid.fresh(SPEC, INSTRUMENT, INSTRUMENT.ticks_to_price(books[0].mid_ticks))
    live: dict[SlotSide, Order] = {}
    band, quiet = None, 0
    scale, lull = _engine.TickScale(INSTRUMENT.tick_size), _engine.Lull()
    for book, written in zip(books, recorded_quotes(), strict=True):
        assert book.bid_ticks is not None
        assert book.ask_ticks is not None
        plan = diff(desired_orders(grid, {}, book, live, stance=Stance.TRADE), live, {}, INTENTS)
        is_quiet = band is not None and band.is_quiet(book.bid_ticks, book.ask_ticks)
        assert lull.keeps(*written) == is_quiet, "its digits say what its decimals say"
        if is_quiet:
            assert not plan
            quiet += 1
            continue
        gone = {cancel.client_order_id for cancel in plan.cancels}
        live = {
            key: order for key, order in live.items() if order.intent.client_order_id not in gone
        }
        for place in plan.places:
            intent = place.intent
            live[intent.tag.slot, intent.side] = Order(
                intent=intent, state=Open(VenueOrderId(intent.client_order_id))
            )
        band = None
        lull.end()
        if not plan:
            band = quiet_band(
                grid, RUNNING, {}, book, live, stance=Stance.TRADE, profit_at=lambda _: 0
            )
        if band is not None:
            lull.begin(scale, band)
    assert len(books) == TICKS
    assert quiet > 0.9 * TICKS
