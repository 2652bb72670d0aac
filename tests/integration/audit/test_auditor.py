"""The whole auditor against a real database and a ledger file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import SimulatorAccess, audit
from audit.database import UnauditableDatabaseError
from integration.audit.stored import insert, keep_commit_times, store
from store.embedded_postgres import EmbeddedPostgres
from unit.audit.dataset import REQUESTS, World, make_world

SOURCES = Path(__file__).resolve().parents[3] / "src"


class HookedAccess(SimulatorAccess):
    """Does something right before the second look."""

    def __init__(self, directory: Path, before_second: Callable[[], None]) -> None:
        super().__init__(directory)
        self._before_second = before_second
        self._looks = 0

    def read(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        self._looks += 1
        if self._looks == 2:
            self._before_second()
        return super().read(offset)


def write_ledger(directory: Path, documents: list[dict[str, Any]]) -> None:
    lines = [json.dumps(document) + "\n" for document in documents]
    (directory / "ledger.jsonl").write_text("".join(lines))


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def world(dsn: str, tmp_path: Path) -> World:
    """Both sides in their places, agreeing."""
    world = make_world(1)
    write_ledger(tmp_path, world.documents)
    with psycopg.connect(dsn) as connection:
        store(connection, world.database())
    return world


@pytest.fixture
def access(tmp_path: Path) -> SimulatorAccess:
    return SimulatorAccess(tmp_path)


async def test_audit_of_a_clean_system_passes_at_the_first_look(
    world: World, dsn: str, access: SimulatorAccess
) -> None:
    report = await audit(dsn, access, acknowledged=REQUESTS)

    assert report.ok, report.to_text()
    assert report.looks == 1
    assert report.ledger_seq == len(world.documents)
    assert all(result.checked_count for result in report.results)


@pytest.mark.parametrize(
    ("statement", "invariant"),
    [
        pytest.param(
            "UPDATE orders SET intended_at = intended_at + interval '1 s' WHERE status = 'filled'",
            "I1",
            id="sent-before-its-intent",
        ),
        pytest.param("DELETE FROM orders WHERE status = 'open'", "I2", id="lost-intents"),
        pytest.param(
            "UPDATE orders SET quantity = quantity + 1 WHERE status = 'open'", "I2", id="quantity"
        ),
        pytest.param("DELETE FROM fills WHERE origin = 'external'", "I3", id="lost-fill"),
        pytest.param("UPDATE fills SET fee = fee + 0.00000001", "I3", id="fee"),
        pytest.param(
            "UPDATE orders SET status = 'unknown' WHERE status = 'open'", "I3", id="unknown"
        ),
        pytest.param("UPDATE slots SET inventory = inventory - 0.00000001", "I3", id="inventory"),
        pytest.param("UPDATE ladders SET anchor = anchor + 0.01", "I7", id="anchor"),
        pytest.param("UPDATE shards SET status = 'halted'", "I7", id="halted"),
        pytest.param("UPDATE ledger SET amount = amount + 0.00000001", "I8", id="ledger"),
        pytest.param("UPDATE slots SET cost = cost + 0.00000001", "I8", id="cost"),
        pytest.param("DELETE FROM pairs", "I8", id="lost-pairs"),
        pytest.param("DELETE FROM dbos.workflow_status", "I10", id="lost-requests"),
        pytest.param(
            "UPDATE dbos.workflow_status SET status = 'PENDING'", "I10", id="unanswered-requests"
        ),
    ],
)
async def test_audit_of_planted_bug_fails_under_its_invariant(
    world: World, dsn: str, access: SimulatorAccess, statement: str, invariant: str
) -> None:
    execute(dsn, statement)

    report = await audit(dsn, access, settle_s=0.1, acknowledged=REQUESTS)

    assert {violation.invariant for violation in report.violations} == {invariant}
    assert not report.ok


async def test_audit_waits_for_what_is_in_flight(world: World, dsn: str, tmp_path: Path) -> None:
    execute(
        dsn,
        "CREATE TABLE in_flight AS SELECT * FROM fills WHERE origin = 'own'",
        "DELETE FROM fills WHERE origin = 'own'",
    )
    access = HookedAccess(
        tmp_path, lambda: execute(dsn, "INSERT INTO fills SELECT * FROM in_flight")
    )

    report = await audit(dsn, access, settle_s=30, acknowledged=REQUESTS)

    assert report.ok
    assert report.looks == 2


async def test_audit_waits_for_requests_to_be_answered(
    world: World, dsn: str, tmp_path: Path
) -> None:
    execute(dsn, "UPDATE dbos.workflow_status SET status = 'PENDING'")
    access = HookedAccess(
        tmp_path, lambda: execute(dsn, "UPDATE dbos.workflow_status SET status = 'SUCCESS'")
    )

    report = await audit(dsn, access, settle_s=30, acknowledged=REQUESTS)

    assert report.ok
    assert report.looks == 2


async def test_audit_does_not_forgive_an_intent_that_came_late(
    world: World, dsn: str, tmp_path: Path
) -> None:
    execute(
        dsn,
        "CREATE TABLE late AS SELECT * FROM orders WHERE status = 'open'",
        "DELETE FROM orders WHERE status = 'open'",
        "UPDATE slots SET inventory = inventory + 1",
    )
    access = HookedAccess(
        tmp_path,
        lambda: execute(
            dsn,
            "INSERT INTO orders SELECT * FROM late",
            "UPDATE slots SET inventory = inventory - 1",
        ),
    )

    report = await audit(dsn, access, settle_s=30, acknowledged=REQUESTS)

    assert {violation.invariant for violation in report.violations} == {"I2"}
    assert report.looks == 2


async def test_audit_of_another_slot_in_flight_at_each_look_blames_none(
    world: World, dsn: str, tmp_path: Path
) -> None:
    """A system at work is never wholly at rest; what lags at one look is right at the next."""
    execute(dsn, "UPDATE slots SET inventory = inventory + 1 WHERE shard = 1")
    access = HookedAccess(
        tmp_path,
        lambda: execute(
            dsn,
            "UPDATE slots SET inventory = inventory - 1 WHERE shard = 1",
            "UPDATE slots SET inventory = inventory + 1 WHERE shard = 2",
        ),
    )

    assert (await audit(dsn, access, settle_s=30, acknowledged=REQUESTS)).ok


async def test_audit_follows_a_ledger_that_grows(world: World, dsn: str, tmp_path: Path) -> None:
    """Postgres is ahead of the first look: it knows a trade that the ledger shows only later."""
    *earlier, trade, deposit = world.documents
    assert (trade["kind"], deposit["kind"]) == ("order_filled", "deposited")
    write_ledger(tmp_path, earlier)
    access = HookedAccess(tmp_path, lambda: write_ledger(tmp_path, world.documents))

    report = await audit(dsn, access, settle_s=30, acknowledged=REQUESTS)

    assert report.ok
    assert (report.looks, report.ledger_seq) == (2, len(world.documents))


async def test_audit_of_an_idle_system_does_not_pass(dsn: str, tmp_path: Path) -> None:
    write_ledger(tmp_path, [])

    report = await audit(dsn, SimulatorAccess(tmp_path))

    assert report.violations == ()
    assert not report.ok


async def test_audit_of_two_accounts_is_refused(
    world: World, dsn: str, access: SimulatorAccess
) -> None:
    with psycopg.connect(dsn) as connection:
        insert(connection, "opening_balances", account="other", asset="USDT", amount=1)

    with pytest.raises(UnauditableDatabaseError, match="other"):
        await audit(dsn, access)


def open_intent(world: World) -> dict[str, Any]:
    intent = next(i for i in world.intents.values() if i.status == "open")
    (document,) = [
        d
        for d in world.documents
        if d["kind"] == "order_accepted" and d["client_order_id"] == intent.client_order_id
    ]
    return document


@contextmanager
def keeping_commit_times(postgres: EmbeddedPostgres) -> Iterator[None]:
    keep_commit_times(postgres, "on")
    try:
        yield
    finally:
        keep_commit_times(postgres, "off")


async def test_audit_with_commit_times_sees_a_send_inside_the_intents_transaction(
    postgres: EmbeddedPostgres, dsn: str, tmp_path: Path
) -> None:
    """The row is older than the order, and became durable after it: a crash would have lost it."""
    world = make_world(1)
    database = world.database()
    with keeping_commit_times(postgres):
        with psycopg.connect(dsn) as connection:
            before_ms = time.time_ns() // 1_000_000
            store(
                connection,
                replace(
                    database,
                    intents=tuple(replace(i, committed_ms=before_ms) for i in database.intents),
                ),
            )
            sent = open_intent(world)
            sent["written_ms"] = time.time_ns() // 1_000_000
            write_ledger(tmp_path, world.documents)
            # Committing takes less than a millisecond; the clocks compared count whole ones.
            connection.execute("SELECT pg_sleep(0.01)")
        report = await audit(dsn, SimulatorAccess(tmp_path), settle_s=0.1)

    assert [violation.subject for violation in report.violations] == [
        f"sending of order {sent['client_order_id']}"
    ]


def run_command(dsn: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audit", "--dsn", dsn, "--simulator", str(directory)]
    return subprocess.run(
        [*command, *options], cwd=SOURCES, capture_output=True, text=True, timeout=60, check=False
    )


def test_command_says_in_its_exit_code_whether_all_is_well(
    world: World, dsn: str, tmp_path: Path
) -> None:
    acknowledged = [word for name in REQUESTS for word in ("--acknowledged", name)]
    clean = run_command(dsn, tmp_path, "-o", "json", *acknowledged)
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["ok"] is True

    execute(dsn, "DELETE FROM fills")
    bad = run_command(dsn, tmp_path, "--settle-s", "0")
    assert bad.returncode == 1
    assert "audit FAILED" in bad.stdout
    assert "I10 every acknowledged request survives: ok (0 requests checked)" in bad.stdout
