"""A lost database rebuilt from an exchange in memory, by the command an operator types."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

import cli.restore
from cli.exits import Exit
from domain.ids import Side, SymbolKey
from domain.market import BookTop
from domain.orders import Intent, OrderRecord, VenueStatus
from grid.desired import Stance, desired_orders
from grid.plan import IntentFactory, diff
from orchestrator.restore.judge import UNDECLARED_SHARDS
from orchestrator.workflows import run_shard_id
from ports.store import Claim, Loaded
from store.engine import create_engine
from store.repository import Repository
from support.command_line import CommandLine
from support.fake_exchange import FakeExchange
from support.sample_history import write_sample_history
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import NONCE, SHARD, make_intent, make_report

SYMBOL = "BTC/USDT"
GRID = """
symbols:
  BTC/USDT:
    spacing: {kind: arithmetic, step: 1}
    range: {kind: window, buy_window: 3, sell_window: 3}
    order_size: {kind: base, amount: 0.1}
    budget_quote: 10000
"""
#: Slot -1 bought and rests to sell what is left after the fee, slot -2 has bought a part.
ENTRY = make_intent(-1, Side.BUY)
EXIT = make_intent(-1, Side.SELL, 9_999, generation=3)
LOWER = make_intent(-2, Side.BUY)


class LatecomersExchange(FakeExchange):
    """As if somebody placed an order after each look at the history."""

    async def fetch_orders(self, symbol: str) -> Sequence[OrderRecord]:
        told = await super().fetch_orders(symbol)
        rest(self, make_intent(-3, Side.BUY, generation=len(self.asked)))
        return told


@pytest.fixture
def dsn(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database; whether anybody trades is watched for a moment only."""
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("GRIDKEEPER_LEASE_S", "1")
    monkeypatch.setenv("GRIDKEEPER_CLOCK_SKEW_MS", "0")
    monkeypatch.setenv("GRIDKEEPER_ACCOUNT__RECV_WINDOW_MS", "100")
    return postgres_dsn


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "symbols.yaml"
    path.write_text(GRID)
    return str(path)


def rest(exchange: FakeExchange, intent: Intent) -> None:
    exchange.orders[intent.client_order_id] = make_report(intent)


def traded(exchange: FakeExchange) -> FakeExchange:
    exchange.set_price("99.49", "99.51", 0)
    rest(exchange, ENTRY)
    exchange.trade(ENTRY.client_order_id, "0.1", silent=True)
    rest(exchange, EXIT)
    rest(exchange, LOWER)
    exchange.trade(LOWER.client_order_id, "0.04", silent=True)
    return exchange


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> FakeExchange:
    exchange = traded(FakeExchange())
    monkeypatch.setattr(cli.restore, "open_exchange", lambda settings: exchange)
    return exchange


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


async def claimed(dsn: str, shard: int) -> tuple[Claim, Loaded]:
    """As a node would take the symbol over."""
    engine = create_engine(dsn)
    try:
        workflow_id = run_shard_id(SymbolKey("sim-BTC-USDT"), shard)
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "INSERT INTO nodes (executor_id, name, host, boot_id, pid, pid_started)"
                " VALUES ('me', 'me', 'here', 'b', 1, 1)"
            )
            connection.execute(
                "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'me'"
                " WHERE workflow_uuid = %s",
                [workflow_id],
            )
        repository = Repository(engine, "me")
        claim = await repository.claim(shard, workflow_id)
        return claim, await repository.load(claim)
    finally:
        await engine.dispose()


def restored(gridkeeper: CommandLine, file: str, *more: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = gridkeeper.json("restore", "--file", file, "--yes", *more)
    assert answer["restored"] is True
    return answer


@pytest.mark.usefixtures("exchange")
def test_restore_makes_a_shard_that_knows_its_orders_and_slots(
    gridkeeper: CommandLine, dsn: str, file: str
) -> None:
    answer = restored(gridkeeper, file)
    (symbol,) = answer["symbols"]
    assert (symbol["shard"], symbol["anchor"], symbol["orders_kept"]) == (SHARD, "100", 2)
    assert [(slot["slot"], slot["inventory"]) for slot in symbol["slots"]] == [
        (-2, "0.039996"),
        (-1, "0.09999"),
    ]

    claim, loaded = asyncio.run(claimed(dsn, SHARD))
    state = ShardState(claim, loaded)
    assert (claim.nonce, claim.ownership.epoch) == (NONCE, 1)
    assert claim.ladders[-1].anchor == Decimal(100)
    live = {order.intent.client_order_id: order for order in state.live_orders().values()}
    assert live.keys() == {EXIT.client_order_id, LOWER.client_order_id}
    assert live[EXIT.client_order_id].intent == EXIT
    assert live[LOWER.client_order_id].filled_lots == 4_000
    slot = state.slot(ENTRY.tag.slot)
    assert claim.instrument.units_to_base(slot.inventory_units) == Decimal("0.09999")
    assert (slot.next_generation(Side.BUY), slot.next_generation(Side.SELL)) == (2, 4)
    assert not state.ahead_of_trades()
    assert not state.unsettled()


def test_restore_books_what_the_trades_moved_and_begins_with_the_rest(
    gridkeeper: CommandLine, dsn: str, file: str, exchange: FakeExchange
) -> None:
    restored(gridkeeper, file)
    balances = rows(
        dsn,
        "SELECT asset, opening_balances.amount, opening_balances.amount + coalesce(sum(l.amount),"
        " 0) FROM opening_balances LEFT JOIN ledger l USING (account, asset)"
        " GROUP BY asset, opening_balances.amount ORDER BY asset",
    )
    assert balances == [
        ("BTC", Decimal(0), exchange.balances["BTC"]),
        ("USDT", Decimal(1_000_000), exchange.balances["USDT"]),
    ]
    assert rows(dsn, "SELECT DISTINCT restored, reason FROM orders") == [(True, "restored")]
    assert rows(dsn, "SELECT decision_id, causes FROM decisions") == [
        ("sim-BTC-USDT:0:0", ["restored"])
    ]
    assert rows(dsn, "SELECT nonce, restored_at IS NOT NULL, restored_since FROM installation") == [
        (NONCE, True, None)
    ]


@pytest.mark.usefixtures("exchange")
def test_restore_numbers_new_symbols_above_the_restored_ones(
    gridkeeper: CommandLine, dsn: str, file: str
) -> None:
    restored(gridkeeper, file)
    assert rows(dsn, "SELECT nextval(pg_get_serial_sequence('shards', 'shard'))") == [
        (SHARD + UNDECLARED_SHARDS + 1,)
    ]
    started = "SELECT status FROM dbos.workflow_status WHERE name = 'run_shard'"
    assert rows(dsn, started) == [("ENQUEUED",)]


@pytest.mark.usefixtures("exchange")
def test_restore_of_one_symbol_takes_the_options_of_add(gridkeeper: CommandLine, dsn: str) -> None:
    options = ["--step", "1", "--buy-window", "3", "--sell-window", "3", "--order-base", "0.1"]
    answer = gridkeeper.json(
        *("restore", "--symbol", SYMBOL, *options, "--budget", "10000", "--yes")
    )
    assert answer["restored"] is True
    assert rows(dsn, "SELECT symbol, spec ->> 'budget_quote' FROM shards") == [(SYMBOL, "10000")]


@pytest.mark.usefixtures("exchange")
def test_restore_shows_and_does_nothing_unless_it_is_confirmed(
    gridkeeper: CommandLine, dsn: str, file: str
) -> None:
    shown = gridkeeper("restore", "--file", file, "--preview")
    assert f"installation {NONCE}; new symbols are numbered from {SHARD + 1001} on" in shown
    assert "lost: why each order was decided" in shown
    assert "whether the kill switch was thrown" in shown
    asked = gridkeeper.json("restore", "--file", file, code=Exit.INVALID)
    assert asked["error"]["field"] == "--yes"
    assert rows(dsn, "SELECT count(*) FROM shards") == [(0,)]


def test_restore_of_an_order_that_fits_nowhere_must_be_told_to_cancel_it(
    gridkeeper: CommandLine, dsn: str, file: str, exchange: FakeExchange
) -> None:
    rest(exchange, make_intent(-3, Side.BUY))
    beside = make_intent(-4, Side.BUY)
    exchange.orders[beside.client_order_id] = make_report(beside, price=Decimal("96.01"))
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert "fits nowhere: its slot enters at 96.00" in refused["problems"][0]
    assert rows(dsn, "SELECT count(*) FROM shards") == [(0,)]

    (symbol,) = restored(gridkeeper, file, "--cancel-unknown")["symbols"]
    assert symbol["misfits"].keys() == {beside.client_order_id}
    state = ShardState(*asyncio.run(claimed(dsn, SHARD)))
    live = state.live_orders()
    book = BookTop(9_949, 9_951, 0)
    wanted = desired_orders(state.grid, state.slots, book, live, stance=Stance.TRADE)
    intents = IntentFactory(nonce=NONCE, shard=SHARD, client_order_id=exchange.ids.encode)
    plan = diff(wanted, live, state.slots, intents)
    assert [cancel.client_order_id for cancel in plan.cancels] == [beside.client_order_id]
    assert plan.places == ()


def test_restore_lists_what_removed_shards_traded_and_keeps_it_out_of_the_grid(
    gridkeeper: CommandLine, dsn: str, file: str, exchange: FakeExchange
) -> None:
    former = make_intent(-2, Side.BUY, shard=SHARD - 1)
    rest(exchange, former)
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert f"order {former.client_order_id} of shard {SHARD - 1}" in refused["problems"][0]
    assert "cancel it at the exchange" in refused["problems"][0]

    exchange.trade(former.client_order_id, "0.1", silent=True)
    (symbol,) = restored(gridkeeper, file)["symbols"]
    assert symbol["inventory"] == "0.139986"
    assert symbol["former_orders"] == 1
    (listed,) = symbol["former_traded"]
    assert listed == {
        "client_order_id": former.client_order_id,
        "shard": SHARD - 1,
        "side": "buy",
        "filled": "0.1",
    }
    assert rows(dsn, "SELECT kind, subject FROM findings") == [
        ("order_of_removed_shard", former.client_order_id)
    ]
    assert rows(dsn, "SELECT count(*) FROM fills") == [(2,)]
    assert rows(dsn, "SELECT amount FROM opening_balances WHERE asset = 'BTC'") == [
        (Decimal("0.09999"),)
    ]


def test_restore_of_missing_trades_is_refused_and_may_begin_later(
    gridkeeper: CommandLine, dsn: str, file: str, exchange: FakeExchange
) -> None:
    exchange.trades = [t for t in exchange.trades if t.price != Decimal("99.00")]
    exchange.orders[ENTRY.client_order_id] = make_report(ENTRY, VenueStatus.CANCELLED, 10_000)
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert "--since DATE" in refused["problems"][-1]

    (symbol,) = restored(gridkeeper, file, "--since", "2024-01-31")["symbols"]
    assert symbol["began_with"] == {"-1": "0.09999"}
    assert rows(dsn, "SELECT quantity, cost FROM adoptions") == [
        (Decimal("0.09999"), Decimal("9.89901"))
    ]
    assert rows(dsn, "SELECT count(*) FROM orders WHERE restored") == [(2,)]


def test_restore_into_a_used_database_is_refused(
    gridkeeper: CommandLine, dsn: str, file: str
) -> None:
    write_sample_history(dsn)
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert "only an empty one is rebuilt" in refused["error"]["message"]


@pytest.mark.usefixtures("exchange")
def test_restore_where_a_request_waits_is_refused(
    gridkeeper: CommandLine, dsn: str, file: str
) -> None:
    options = ["--step", "1", "--buy-window", "3", "--sell-window", "3", "--order-base", "0.1"]
    gridkeeper("symbol", "add", SYMBOL, *options, "--budget", "10000")
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert "waits" in refused["error"]["message"]
    assert rows(dsn, "SELECT count(*) FROM shards") == [(0,)]


def test_restore_of_a_database_of_another_exchange_is_refused(
    gridkeeper: CommandLine, dsn: str, file: str, exchange: FakeExchange
) -> None:
    gridkeeper("restore", "--file", file, "--preview")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO installation (id, nonce, exchange) VALUES (1, 5, 'kraken live')"
        )
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert "tied to another exchange" in refused["error"]["message"]
    assert rows(dsn, "SELECT nonce, restored_at FROM installation") == [(5, None)]
    assert exchange.open_orders()


def test_restore_beside_an_installation_that_trades_is_refused(
    gridkeeper: CommandLine, dsn: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = traded(LatecomersExchange())
    monkeypatch.setattr(cli.restore, "open_exchange", lambda settings: exchange)
    refused = gridkeeper.json("restore", "--file", file, "--yes", code=Exit.REFUSED)
    assert f"installation {NONCE} is alive" in refused["error"]["message"]
    assert rows(dsn, "SELECT count(*) FROM shards") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param([], "--symbol", id="neither file nor symbol"),
        pytest.param(["--step", "1"], "--symbol", id="options without a symbol"),
        pytest.param(["--file", "f.yaml", "--since", "yesterday"], "--since", id="no date"),
    ],
)
def test_restore_of_wrong_arguments_names_the_option(
    gridkeeper: CommandLine, arguments: list[str], field: str, tmp_path: Path
) -> None:
    (tmp_path / "f.yaml").write_text(GRID)
    refused = gridkeeper.json("restore", *arguments, code=Exit.INVALID)
    assert refused["error"]["field"] == field
