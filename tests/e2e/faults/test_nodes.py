"""Several nodes on one Postgres: each fault takes one away, and the auditor decides."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.local_system import Market, demo_spec
from orchestrator.bootstrap import new_request_id
from orchestrator.guard import CHANGE_STARTS_MAX, STARTS_MAX
from orchestrator.placement import EXCHANGE_PATIENCE_S
from ports.failpoints import Failpoint
from store.nodes import Nodes, sessions_of
from support import poisoned
from support.cluster import (
    EXPIRY_S,
    FENCED,
    LEASE_S,
    SLACK_S,
    SYMBOLS,
    TAKE_OVER_S,
    Cluster,
    running_cluster,
)
from support.system import eventually

POISON = "ETH/USDT"
QUARANTINED = "SELECT symbol, status_reason FROM shards WHERE quarantined_at IS NOT NULL"
HALTED = "SELECT status_reason FROM shards WHERE status = 'halted' LIMIT 1"
SETTLED = "SELECT max(decided_at) < clock_timestamp() - interval '1 second' FROM decisions"
INTENDED = "SELECT client_order_id FROM orders WHERE status = 'intended'"
#: Connections whose transactions hold rows of shards, by their names.
HOLDERS = """
    SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)
     WHERE relation = CAST('shards' AS regclass) AND mode IN ('RowShareLock', 'RowExclusiveLock')
"""
EPOCHS = "SELECT shard, epoch FROM shards"
#: Each of two nodes sent orders, and both together more than fit into one window of the limit.
PLACED_BY_BOTH = """
    SELECT 1 FROM orders JOIN decisions USING (decision_id)
     WHERE orders.venue_order_id IS NOT NULL
    HAVING count(*) > {orders} AND count(DISTINCT decisions.shard) = 4
"""
#: Within which a lost node's symbols must run elsewhere.
TAKEN_OVER_S = LEASE_S + EXPIRY_S + TAKE_OVER_S + SLACK_S


async def live_orders(cluster: Cluster) -> set[str]:
    """Client ids of what rests at the exchange, as the exchange says."""
    state: Any = await cluster.system.control("/control/state")
    return {
        order["clientOrderId"]
        for account in state["accounts"].values()
        for order in account["open_orders"]
    }


async def accepted_orders(cluster: Cluster) -> set[str]:
    """Client ids of all that the exchange ever accepted, by its ledger."""
    ledger: Any = await cluster.system.control("/control/ledger")
    records = [record for record in ledger["records"] if record["kind"] == "order_accepted"]
    return {record["client_order_id"] for record in records}


def state_of(pid: int) -> str:
    """As the kernel says it: T of a process that is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Cluster]:
    """Two nodes that share four symbols."""
    async with running_cluster("one", "two") as cluster:
        await cluster.until_counts(one=2, two=2)
        yield cluster


async def test_node_killed_its_symbols_go_on_elsewhere(pair: Cluster) -> None:
    pair.nodes["one"].send(signal.SIGKILL)

    await pair.until_counts(two=4, within_s=TAKEN_OVER_S)
    await pair.assert_sound()


async def test_row_21_node_stopped_between_intent_and_send_sends_nothing_when_it_wakes() -> None:
    """It had its lease when it looked; its share of the limits and the send guard ask again."""
    async with running_cluster() as cluster:
        cluster.settings = {"GRIDKEEPER_FAILPOINT": f"stop:{Failpoint.PLAN_BEFORE_SEND}"}
        zombie = await cluster.start("one")
        for symbol in SYMBOLS:
            await cluster.request(symbol)

        async def is_stopped() -> bool:
            return state_of(zombie.process.pid) == "T"

        await eventually(is_stopped, "the node has stopped itself")
        intents = {row.client_order_id for row in await cluster.rows(INTENDED)}
        assert intents
        cluster.settings = {}
        await cluster.start("two")
        await cluster.until_counts(two=4, within_s=TAKEN_OVER_S + TAKE_OVER_S)
        await cluster.assert_sound()
        epochs = {row.shard: row.epoch for row in await cluster.rows(EPOCHS)}
        assert not intents & await accepted_orders(cluster)

        zombie.send(signal.SIGCONT)

        assert await zombie.ended() == FENCED
        assert not intents & await accepted_orders(cluster)
        await cluster.assert_sound()
        assert epochs == {row.shard: row.epoch for row in await cluster.rows(EPOCHS)}


async def test_row_21_node_stopped_in_a_transaction_is_taken_over(pair: Cluster) -> None:
    """With its life end its connections, which Postgres might wait for."""
    lost = pair.nodes["one"]
    sessions = sessions_of(await pair.value("SELECT executor_id FROM nodes WHERE name = 'one'"))

    async def is_stopped_in_one() -> bool:
        lost.send(signal.SIGSTOP)
        await asyncio.sleep(0.02)  # what had left it before is done with by then
        if (sessions,) in await pair.rows(HOLDERS):
            return True
        lost.send(signal.SIGCONT)
        return False

    async def has_no_session() -> bool:
        return (sessions,) not in await pair.rows("SELECT application_name FROM pg_stat_activity")

    await eventually(is_stopped_in_one, "the node is stopped in the midst of a transaction", 60.0)
    await pair.until_counts(two=4, within_s=TAKEN_OVER_S)
    await eventually(has_no_session, "Postgres forgets the node")
    await pair.assert_sound()

    lost.send(signal.SIGCONT)

    assert await lost.ended() == FENCED
    await pair.assert_sound()


async def test_node_cut_off_from_the_database_loses_its_symbols(pair: Cluster) -> None:
    lost = pair.nodes["one"]
    lost.to_database.cut()
    await pair.until_counts(two=4, within_s=TAKEN_OVER_S)
    await pair.assert_sound()

    lost.to_database.mend()

    assert await lost.ended() == FENCED


async def test_node_cut_off_from_the_exchange_hands_its_symbols_on_and_gets_them_back(
    pair: Cluster,
) -> None:
    pair.nodes["one"].to_exchange.cut()
    ((reason,),) = await pair.until_rows(HALTED)
    assert "exchange" in reason
    await pair.until_counts(two=4, within_s=EXCHANGE_PATIENCE_S + TAKE_OVER_S + SLACK_S)
    await pair.assert_sound()
    assert pair.nodes["one"].process.returncode is None

    pair.nodes["one"].to_exchange.mend()

    await pair.until_counts(one=2, two=2)
    await pair.assert_sound()


async def test_two_nodes_keep_within_one_small_rate_limit() -> None:
    """The venue refuses nothing for it, and the cancels of a kill go before what waits."""
    percent = 30
    market = Market(
        symbols=SYMBOLS,
        weight_per_minute=6_000 * percent // 100,
        orders_per_10s=100 * percent // 100,
    )
    async with running_cluster(
        "one", "two", market=market, GRIDKEEPER_ACCOUNT__LIMITS_PERCENT=str(percent)
    ) as cluster:
        await cluster.until_counts(one=2, two=2, within_s=120)
        await cluster.until_rows(PLACED_BY_BOTH.format(orders=percent))

        killed = await cluster.database.requests.kill("rate limits", new_request_id())
        progress = await cluster.database.requests.wait(killed, 30)

        assert progress.result is not None
        assert progress.result["outcome"] == "done"
        state: Any = await cluster.system.control("/control/state")
        assert state["rate_refusals"] == 0
        assert await live_orders(cluster) == set()


async def test_drained_node_gives_its_symbols_away_without_cancelling(pair: Cluster) -> None:
    await pair.system.control("/control/freeze", {"symbol": "all", "frozen": True})

    async def settled() -> bool:
        return bool(await pair.value(SETTLED))

    await eventually(settled, "nothing is decided any more")
    before = await live_orders(pair)
    assert before
    await Nodes(pair.database.engine).drain("one", is_draining=True)
    await pair.until_counts(two=4)
    assert before <= await live_orders(pair)
    await pair.system.control("/control/freeze", {"symbol": "all", "frozen": False})
    await pair.assert_sound()

    pair.nodes["one"].send(signal.SIGTERM)

    assert await pair.nodes["one"].ended() == 0
    await pair.until_counts(two=4)


async def test_new_node_gets_its_share_and_a_stopped_one_hands_its_own_on(
    pair: Cluster,
) -> None:
    await pair.start("three")
    await pair.until_counts(one=2, two=1, three=1)
    pair.nodes["two"].send(signal.SIGTERM)
    await pair.until_counts(one=2, three=2)
    assert await pair.nodes["two"].ended() == 0
    await pair.assert_sound()


async def test_symbol_that_kills_its_process_is_quarantined_and_the_others_trade() -> None:
    async with running_cluster() as cluster:
        for symbol in SYMBOLS:
            await cluster.request(symbol)
        await cluster.start("one", (poisoned.__file__, "round", POISON))
        deaths = 0

        async def quarantined() -> bool:
            nonlocal deaths
            if cluster.nodes["one"].process.returncode is not None:
                deaths += 1
                await cluster.start("one", (poisoned.__file__, "round", POISON))
            return bool(await cluster.rows(QUARANTINED))

        await eventually(quarantined, "the poison is quarantined", 120.0)
        await cluster.until_counts(one=3)
        assert deaths <= STARTS_MAX + 1
        ((symbol, reason),) = await cluster.rows(QUARANTINED)
        assert symbol == POISON
        assert f"first round of each of {STARTS_MAX} starts" in reason

        cluster.nodes["one"].send(signal.SIGKILL)
        await cluster.start("one")
        await cluster.until_counts(one=3)
        asked = await cluster.database.requests.resume(POISON, new_request_id())
        await cluster.until_counts(one=4)
        cluster.acknowledged.append(asked)
        await cluster.assert_sound()


@pytest.mark.parametrize(
    ("place", "stands", "running"),
    [
        pytest.param(
            "prepare",
            f"nothing of it was written down, and {POISON} was never added",
            3,
            id="before it is written down",
        ),
        pytest.param(
            "record",
            f"it was written down and stands: {POISON} is",
            4,
            id="after it was",
        ),
    ],
)
async def test_request_that_kills_its_process_is_given_up_and_the_others_go_on(
    place: str, stands: str, running: int
) -> None:
    healthy = [symbol for symbol in SYMBOLS if symbol != POISON]
    async with running_cluster() as cluster:
        for symbol in healthy:
            await cluster.request(symbol)
        await cluster.start("one", (poisoned.__file__, place, POISON))
        await cluster.until_counts(one=3)
        requests = cluster.database.requests
        poison = await requests.add(POISON, demo_spec(), new_request_id())
        others = [await requests.pause(healthy[0], new_request_id())]
        deaths = 0

        async def given_up() -> bool:
            nonlocal deaths
            if cluster.nodes["one"].process.returncode is not None:
                deaths += 1
                others.append(await requests.reconcile(healthy[1], new_request_id()))
                await cluster.start("one", (poisoned.__file__, place, POISON))
            progress = await requests.progress(poison)
            return progress is not None and progress.is_finished

        await eventually(given_up, "the poison is given up", 180.0)
        assert deaths == CHANGE_STARTS_MAX
        result = (await requests.wait(poison, 0)).result
        assert result is not None
        assert result["outcome"] == "given up"
        assert f"given up after {CHANGE_STARTS_MAX} starts" in result["reason"]
        assert stands in result["reason"]
        for asked in others:
            progress = await requests.wait(asked, 30)
            assert progress.result is not None
            assert progress.result["outcome"] == "done", progress
        assert await cluster.rows(QUARANTINED) == []
        cluster.acknowledged += [*others, await requests.resume(healthy[0], new_request_id())]
        await cluster.until_counts(one=running)
        report = await cluster.audit()
        assert report.ok, "\n".join(map(str, report.violations)) or str(report)


async def test_request_interrupted_by_ordinary_kills_is_done() -> None:
    async with running_cluster() as cluster:
        asked = await cluster.database.requests.add(POISON, demo_spec(), new_request_id())
        cluster.settings = {"GRIDKEEPER_FAILPOINT": Failpoint.CHANGE_BEFORE_RECORD}
        for _ in range(CHANGE_STARTS_MAX - 1):
            await (await cluster.start("one")).ended()
        cluster.settings = {}
        await cluster.start("one")
        progress = await cluster.database.requests.wait(asked, 60)
        assert progress.result is not None
        assert progress.result["outcome"] == "done", progress
        assert await cluster.rows("SELECT 1 FROM change_starts") == []


async def test_symbol_moved_by_an_operator_stays_where_it_was_moved(pair: Cluster) -> None:
    (symbol, *_) = (await pair.symbols_of())["one"]
    asked = await pair.database.requests.move(symbol, "two", new_request_id())
    progress = await pair.database.requests.wait(asked, 30)
    assert progress.result is not None
    assert (progress.result["outcome"], progress.result["node"]) == ("done", "two")
    # Another one makes room for it, as they are spread evenly.
    await pair.until_counts(one=2, two=2)
    assert symbol in (await pair.symbols_of())["two"]
    await pair.assert_sound()
