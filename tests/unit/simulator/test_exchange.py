"""The running exchange without sockets: replay, price moves, restarts, a ledger that fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from simulator.config import ConfigurationError, FuturesConfig, ReplayConfig, SimulatorConfig
from simulator.exchange import Exchange
from simulator.records import OrderRequest, OrderType, Side, TimeInForce
from simulator.symbols import DEFAULT_SYMBOLS
from simulator.units import UNIT, parse_e8

SOURCE = Path(__file__).parents[3] / "src"
QUOTES = """local_ns,event_ms,market,symbol,bid,bidqty,ask,askqty
0,0,spot,BTCUSDT,100.50,1,100.51,2
5000000,0,spot,BTCUSDT,101.50,3,101.51,4
"""
FAILING = """
import resource, sys
from pathlib import Path
from simulator.config import SimulatorConfig
from simulator.exchange import Exchange
exchange = Exchange(SimulatorConfig(data_dir=Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
for number in range(100):
    exchange.spot.venue.deposit("main", "USDT", 1, exchange.now_ms())
    exchange.commit()
    print(number, flush=True)
"""

Open = Callable[[SimulatorConfig], Exchange]


@pytest.fixture
def open_exchange() -> Iterator[Open]:
    opened: list[Exchange] = []

    def open_(config: SimulatorConfig) -> Exchange:
        opened.append(Exchange(config))
        return opened[-1]

    yield open_
    for exchange in opened:
        exchange.close()


def test_exchange_replays_a_recording_at_its_speed(tmp_path: Path, open_exchange: Open) -> None:
    recording = tmp_path / "quotes.csv"
    recording.write_text(QUOTES)
    replay = ReplayConfig(paths=(recording,), speed=Decimal(2))
    exchange = open_exchange(SimulatorConfig(data_dir=tmp_path, replay=replay))

    exchange.advance(1)
    assert exchange.spot.venue.books["BTCUSDT"].best()[0] == (parse_e8("100.50"), UNIT)
    exchange.advance(1.5)
    assert exchange.spot.venue.books["BTCUSDT"].best()[0] == (parse_e8("101.50"), 3 * UNIT)
    assert exchange.spot.venue.books["ETHUSDT"].best()[0] != (0, 0)


def test_exchange_reopened_has_the_same_money_and_goes_on_at_its_price(
    tmp_path: Path, open_exchange: Open
) -> None:
    config = SimulatorConfig(data_dir=tmp_path)
    first = Exchange(config)
    first.advance(50)
    first.spot.move_price("BTCUSDT", 50_000 * UNIT, first.now_ms())
    first.spot.venue.deposit("main", "USDT", -5 * UNIT, first.now_ms())
    first.commit()
    first.close()

    second = open_exchange(config)
    second.advance(0)

    assert second.spot.venue.state.balances == first.spot.venue.state.balances
    assert second.spot.feeds["BTCUSDT"].mid_e8 == 50_000 * UNIT


def test_exchange_reopened_has_the_same_futures_account(
    tmp_path: Path, open_exchange: Open
) -> None:
    config = SimulatorConfig(data_dir=tmp_path)
    first = Exchange(config)
    first.advance(50)
    venue, now_ms = first.futures.venue, first.now_ms()
    venue.configure("main", "BTCUSDT", now_ms, leverage=7)
    request = OrderRequest(
        account="main",
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        client_order_id="market",
        quantity_e8=UNIT,
    )
    venue.place(request, now_ms)
    resting = replace(
        request,
        type=OrderType.LIMIT,
        side=Side.SELL,
        client_order_id="exit",
        price_e8=64_000 * UNIT,
        reduce_only=True,
    )
    venue.place(resting, now_ms)
    first.futures.settle_funding(["BTCUSDT"], now_ms, rate_e8=10_000)
    venue.set_countdown("main", "BTCUSDT", 60_000, now_ms)
    first.commit()
    first.close()

    second = open_exchange(config)
    # until the market shows a price again, positions are worth what was paid for them
    assert second.futures.venue.standing("main", "USDT").endangered() == []
    second.advance(0)

    before, after = venue.state, second.futures.venue.state
    assert after.wallets_e8 == before.wallets_e8
    assert after.position("main", "BTCUSDT") == before.position("main", "BTCUSDT")
    assert after.position("main", "BTCUSDT").leverage == 7
    assert after.countdowns == before.countdowns
    assert after.fundings == before.fundings
    (order,) = after.open_orders_of("main", "BTCUSDT")
    assert (order.client_order_id, order.reduce_only) == ("exit", True)


def test_funding_is_settled_at_its_times(tmp_path: Path, open_exchange: Open) -> None:
    futures = FuturesConfig(funding_interval_s=3600, funding_rate=Decimal("0.0001"))
    exchange = open_exchange(SimulatorConfig(data_dir=tmp_path, futures=futures))
    exchange.advance(50)
    assert exchange.futures.venue.state.fundings["BTCUSDT"] == []

    exchange.clock_offset_ms = 3_600_000
    exchange.advance(50)
    exchange.advance(50)

    (funding,) = exchange.futures.venue.state.fundings["BTCUSDT"]
    assert funding.rate_e8 == 10_000


def test_seeded_funding_rates_are_the_same_again(tmp_path: Path, open_exchange: Open) -> None:
    config = SimulatorConfig(data_dir=tmp_path)
    for name in "abc":
        (tmp_path / name).mkdir()
    marks = [
        open_exchange(replace(config, data_dir=tmp_path / name, seed=seed)).futures.mark("BTCUSDT")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert marks[0].rate_e8 == marks[1].rate_e8
    assert marks[0].rate_e8 != marks[2].rate_e8
    assert all(-30_000 <= mark.rate_e8 <= 30_000 for mark in marks)


def test_exchange_without_a_symbol_of_its_ledger_is_refused(tmp_path: Path) -> None:
    config = SimulatorConfig(data_dir=tmp_path)
    first = Exchange(config)
    first.spot.venue.change_rules("BTCUSDT", {"tick_size": "0.1"}, 1)
    first.commit()
    first.close()
    with pytest.raises(ConfigurationError, match="BTCUSDT"):
        Exchange(replace(config, symbols=DEFAULT_SYMBOLS[1:]))


def test_exchange_whose_ledger_cannot_be_written_stops_and_loses_nothing(
    tmp_path: Path, open_exchange: Open
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILING, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    acknowledged = len(ended.stdout.split())
    assert ended.returncode == os.EX_IOERR
    assert 0 < acknowledged < 100

    exchange = open_exchange(SimulatorConfig(data_dir=tmp_path))
    assert exchange.spot.venue.state.deposits_e8["main"]["USDT"] == acknowledged
