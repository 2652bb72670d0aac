"""Rows of the fault matrix, each by faults of chaos against one running system.

Every test strikes, heals, and asks that all symbols quote again and the auditor finds nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from chaos.faults import Process
from chaos.hands import PATHS, heal, strike
from chaos.report import Outcome
from chaos.run import play
from chaos.schedule import Injection, Round
from chaos.table import FAULTS
from cli.chaos_system import ChaosSystem, chaos_system
from cli.local_system import LocalSystem, Market, temporary_data_dir
from store.embedded_postgres import EmbeddedPostgres
from store.engine import transaction
from support import program
from support.system import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYMBOLS = ("BTC/USDT", "ETH/USDT")
#: Of the bounds: a test machine may be slow.
PATIENCE = 4.0
AGAIN_S = 45.0
UNKNOWN = "SELECT count(*) FROM orders WHERE status = 'unknown'"
HALTED = "SELECT count(*) FROM shards WHERE status = 'halted' AND status_reason LIKE 'exchange: %'"
KEYS_REFUSED = HALTED + """ AND status_reason LIKE '%"code":-2015%'"""
#: No shard can compare what it has with the exchange, and so none trades.
NO_COMPARISON = {
    "kind": "timeout_lost",
    "delay_s": 10,
    "count": 1_000,
    "method": "GET",
    "path": PATHS["spot"]["open orders"],
}


@dataclass
class Field:
    rig: ChaosSystem

    async def strike(self, **hold_s: float) -> Outcome:
        """One round of these faults at once, held for so long each; it must find nothing."""
        injections = tuple(injection(name, held_s) for name, held_s in hold_s.items())
        outcome = Outcome(seed=0, faults=[item.fault for item in injections])
        rounds = iter([Round(1, 0.0, injections)])
        await play(self.rig, rounds, outcome, duration_s=300.0, patience=PATIENCE)
        assert self.rig.report is not None
        outcome.audit = self.rig.report.to_json()
        assert outcome.ok, [done.violations for done in outcome.strikes]
        assert all(row.injected == 1 for row in outcome.rows), outcome.strikes
        return outcome

    async def strike_until(self, name: str, met: Callable[[], Awaitable[bool]], what: str) -> None:
        """Hold a fault for as long as it takes; all must be well after it."""
        struck = injection(name)
        await strike(self.rig, struck)
        await eventually(met, what)
        await heal(self.rig, struck)
        await self.until_well()

    async def until_well(self) -> None:
        """Wait until every symbol quotes again; the auditor must find nothing."""
        since = datetime.now(UTC)

        async def all_quote() -> bool:
            return not await self.rig.idle(since)

        await eventually(all_quote, "every symbol quotes again", AGAIN_S * PATIENCE)
        assert self.rig.ended_by_themselves() == []
        assert await self.rig.audit() == []

    async def value(self, query: str) -> Any:
        async with transaction(self.rig.database.engine) as connection:
            return (await connection.execute(text(query))).scalar_one()


def injection(name: str, hold_s: float = 0.0) -> Injection:
    return Injection(
        fault=FAULTS[name.replace("_", "-")],
        after_s=0.0,
        hold_s=hold_s,
        nodes=(0,),
        symbol=SYMBOLS[0],
        strength=0.0,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field() -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        data_dir = stack.enter_context(temporary_data_dir())
        system = LocalSystem(data_dir=data_dir, market=Market(symbols=SYMBOLS))
        rig = await stack.enter_async_context(chaos_system(system, nodes=1, disk=None))
        yield Field(rig)


async def test_row_05_look_ups_that_fail_as_well_drop_nothing(field: Field) -> None:
    async def is_looked_up_in_vain() -> bool:
        armed = await field.rig.control("/control/faults")
        failed = [fault["path"] for fault in armed if fault["method"] == "GET" and fault["fired"]]
        return PATHS["spot"]["order"] in failed and await field.value(UNKNOWN) > 0

    await field.strike_until(
        "order-and-look-up-lost", is_looked_up_in_vain, "an unknown order is looked up in vain"
    )

    assert await field.value(UNKNOWN) == 0


async def test_row_10_500_on_every_request_and_503_on_orders_are_outlived(field: Field) -> None:
    await field.strike(storm_500=4.0)
    await field.strike(order_503_accepted=8.0)


async def test_row_15_maintenance_halts_and_is_resumed_from(field: Field) -> None:
    async def all_are_halted() -> bool:
        return bool(await field.value(HALTED) == len(SYMBOLS))

    await field.strike_until("maintenance", all_are_halted, "every symbol is halted")


async def test_row_17_postgres_restarted_ended_and_hung_is_recovered_from(field: Field) -> None:
    await field.strike(postgres_killed=0.0)
    await field.strike(postgres_terminated=1.0)
    await field.strike(postgres_stopped=7.0)


async def test_row_18_postgres_killed_while_a_node_recovers_strands_nothing(field: Field) -> None:
    rig, log = field.rig, field.rig.nodes[0].log
    postgres = EmbeddedPostgres(rig.system.data_dir)

    async def is_recovering() -> bool:
        return b" claimed " in log.read_bytes()[before:]

    await rig.control("/control/faults", [NO_COMPARISON])
    rig.signal(Process.NODE, 0, signal.SIGKILL)
    await rig.nodes[0].ended()
    before = len(log.read_bytes())
    await rig.start(Process.NODE, 0)
    await eventually(is_recovering, "the node has claimed a symbol")
    postmaster = postgres.postmaster()

    rig.signal(Process.POSTGRES, 0, signal.SIGKILL)

    assert b"status=running" not in log.read_bytes()[before:]
    await rig.control("/control/faults", method="DELETE")
    await field.until_well()
    assert postgres.postmaster() not in {None, postmaster}


async def test_row_24_refused_keys_halt_and_are_taken_again(field: Field) -> None:
    async def all_are_halted() -> bool:
        return bool(await field.value(KEYS_REFUSED) == len(SYMBOLS))

    await field.strike_until("keys-refused", all_are_halted, "every symbol is halted for its key")


async def test_row_29_kill_switch_while_the_exchange_is_cut_off_cancels_all(field: Field) -> None:
    await field.strike(exchange_cut=4.0, kill_switch=1.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
async def test_row_20_full_disk_is_recovered_from_once_there_is_room() -> None:
    code, result = await program.run(
        "chaos",
        *("--seed", "1", "--duration", "30s", "--max-rounds", "1", "--nodes", "1"),
        *("--faults", "disk-full", "--patience", str(PATIENCE)),
    )

    (row,) = result["faults"]
    if row["skipped"]:
        pytest.skip("no small file system can be mounted here")
    assert code == 0, result
    assert row["injected"] == 1
