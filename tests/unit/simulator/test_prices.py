"""Market sources: seeded and lively, replayed without a jump, movable and freezable."""

import gzip
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.book import Book
from simulator.config import ConfigurationError
from simulator.prices import Feed, Print, Quote, ladder, snapped, synthetic
from simulator.recordings import load_recordings, replayed
from simulator.records import Side
from simulator.symbols import DEFAULT_SYMBOLS, Rules, SymbolConfig
from simulator.units import UNIT, parse_e8

RECORDED = Path(__file__).parents[4] / "shared" / "data"
TRADES = [
    "local_ns,event_ms,market,symbol,id,price,qty,buyer_is_maker",
    "2000000,0,spot,BTCUSDT,1,100.5,0.5,1",
    "3000000,0,usdm,BTCUSDT,2,999.5,0.5,0",
    "4000000,0,spot,BTCUSDT,3,101.5,0.25,0",
]
QUOTES = [
    "local_ns,event_ms,market,symbol,bid,bidqty,ask,askqty",
    "1000000,0,spot,BTCUSDT,100.5,1,100.51,2",
    "3500000,0,spot,BTCUSDT,101.5,3,101.51,4",
]


def test_synthetic_with_same_seed_repeats_itself() -> None:
    config = DEFAULT_SYMBOLS[0]
    first = list(itertools.islice(synthetic(config, seed=7), 500))

    assert first == list(itertools.islice(synthetic(config, seed=7), 500))
    assert first != list(itertools.islice(synthetic(config, seed=8), 500))


def test_synthetic_stays_on_ticks_and_steps() -> None:
    for config in DEFAULT_SYMBOLS:
        rules = Rules.of(config)
        for _, event in itertools.islice(synthetic(config, seed=1), 2_000):
            assert snapped(event, rules) == event
            if isinstance(event, Quote):
                assert event.bid_e8 < event.ask_e8


@pytest.mark.parametrize("config", DEFAULT_SYMBOLS, ids=lambda config: config.name)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_synthetic_completes_round_trips_of_a_narrow_grid(config: SymbolConfig, seed: int) -> None:
    """A ladder of 5 bp steps around the start sees fills and round trips within 30 s."""
    start_e8 = parse_e8(format(config.start_price, "f"))
    tick_e8 = Rules.of(config).tick_e8
    levels = [
        start_e8 * (10_000 + 5 * step) // 10_000 // tick_e8 * tick_e8 for step in range(-4, 5)
    ]
    book = Book(1)
    quantity_e8 = 100 * UNIT * UNIT // start_e8
    holding = dict.fromkeys(range(len(levels) - 1), False)
    resting: dict[int, int] = {}
    fills = round_trips = 0
    feed = Feed(synthetic(config, seed=seed), tick_e8)
    for event in itertools.chain.from_iterable(feed.advance(50) for _ in range(600)):
        if isinstance(event, Quote):
            book.display(*ladder(event, tick_e8, UNIT))
        else:
            for match in book.trade(
                event.price_e8, event.quantity_e8, buyer_is_maker=event.buyer_is_maker
            ):
                fills += 1
                round_trips += holding[match.order_id]
                resting[match.order_id] -= match.quantity_e8
                if resting[match.order_id] == 0:
                    del resting[match.order_id]
                    holding[match.order_id] = not holding[match.order_id]
        for slot, held in holding.items():
            side, price_e8 = (Side.SELL, levels[slot + 1]) if held else (Side.BUY, levels[slot])
            if slot not in resting and not book.would_take("a", side, price_e8):
                resting[slot] = quantity_e8
                book.rest(slot, "a", side, price_e8, quantity_e8)

    assert fills >= 5
    assert round_trips >= 2


def test_feed_frozen_stands_still_and_resumes_where_it_was() -> None:
    feed = Feed(synthetic(DEFAULT_SYMBOLS[0], seed=1), UNIT // 100)
    seen = list(feed.advance(500))
    feed.frozen = True
    assert list(feed.advance(500)) == []
    feed.frozen = False
    seen += list(feed.advance(500))

    expected = [
        event
        for due_ms, event in itertools.takewhile(
            lambda item: item[0] <= 1000, synthetic(DEFAULT_SYMBOLS[0], seed=1)
        )
    ]
    assert seen == expected


def test_feed_moved_goes_on_from_the_new_price() -> None:
    feed = Feed(synthetic(DEFAULT_SYMBOLS[0], seed=1), UNIT // 100)
    list(feed.advance(100))

    quote = feed.move_to(50_000 * UNIT)

    assert quote.bid_e8 <= 50_000 * UNIT <= quote.ask_e8
    (after,) = [event for event in feed.advance(50) if isinstance(event, Quote)]
    assert abs(after.bid_e8 - 50_000 * UNIT) < 100 * UNIT


def test_feed_with_start_price_begins_there() -> None:
    feed = Feed(synthetic(DEFAULT_SYMBOLS[0], seed=1), UNIT // 100, start_price_e8=60_000 * UNIT)
    list(feed.advance(0))

    assert feed.mid_e8 == 60_000 * UNIT


def test_snapped_moves_quotes_outwards_onto_coarser_rules() -> None:
    rules = Rules.of(DEFAULT_SYMBOLS[0]).amended({"tick_size": "0.1", "step_size": "0.1"})
    quote = Quote(parse_e8("100.05"), parse_e8("0.25"), parse_e8("100.06"), parse_e8("0.05"))

    assert snapped(quote, rules) == Quote(
        parse_e8("100.0"), parse_e8("0.2"), parse_e8("100.1"), parse_e8("0.1")
    )


def write_csv(path: Path, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def write_parquet(path: Path, lines: list[str]) -> None:
    rows = [line.split(",") for line in lines]
    columns = {name: [row[index] for row in rows[1:]] for index, name in enumerate(rows[0])}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_recordings_are_merged_by_time_for_the_chosen_market(tmp_path: Path, suffix: str) -> None:
    write = write_parquet if suffix == "parquet" else write_csv
    write(tmp_path / f"trades.{suffix}", TRADES)
    write(tmp_path / f"quotes.{suffix}", QUOTES)

    events = load_recordings((tmp_path,), "spot")["BTCUSDT"]

    assert [received_ns for received_ns, _ in events] == [1000000, 2000000, 3500000, 4000000]
    assert events[1][1] == Print(parse_e8("100.5"), parse_e8("0.5"), buyer_is_maker=True)
    assert events[2][1] == Quote(parse_e8("101.5"), 3 * UNIT, parse_e8("101.51"), 4 * UNIT)


def test_replay_at_its_end_plays_back_without_a_jump(tmp_path: Path) -> None:
    write_csv(tmp_path / "trades.csv", TRADES)
    write_csv(tmp_path / "quotes.csv", QUOTES)
    events = load_recordings((tmp_path,), "spot")["BTCUSDT"]

    played = list(itertools.islice(replayed(events, speed=2.0), 12))

    assert [due_ms for due_ms, _ in played[:8]] == [0.0, 0.5, 1.25, 1.5, 1.5, 1.75, 2.5, 3.0]
    assert [event for _, event in played[4:8]] == [event for _, event in reversed(events)]
    assert [event for _, event in played[8:]] == [event for _, event in events]


def test_recording_path_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must exist"):
        load_recordings((tmp_path / "absent.csv",), "spot")


@pytest.mark.skipif(
    not (RECORDED / "binance_trade.csv.gz").exists(),
    reason="no recorded market data in ../shared/data",
)
def test_recorded_market_replays_on_the_default_ticks() -> None:
    paths = (RECORDED / "binance_trade.csv.gz", RECORDED / "binance_bookTicker.csv.gz")
    recorded = load_recordings(paths, "spot")

    assert {"BTCUSDT", "ETHUSDT"} <= recorded.keys()
    for config in DEFAULT_SYMBOLS[:2]:
        rules = Rules.of(config)
        events = recorded[config.name]
        assert any(isinstance(event, Print) for _, event in events)
        assert all(snapped(event, rules) == event for _, event in events)
