"""The whole host dies: the venue's dead-man switch takes its orders, and they come back with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from chaos.hands import open_orders
from cli.crash_test import kill_postgres
from cli.local_system import LocalSystem, Market, temporary_data_dir
from orchestrator.bootstrap import open_database
from support.system import RunningSystem, eventually

SYMBOL = "BTC/USDT:USDT"
COUNTDOWN_S = 8
SPEC: dict[str, object] = {
    "mode": "long",
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 4, "sell_window": 4},
    "order_size": {"kind": "quote", "amount": "200"},
    "budget_quote": "5000",
}
#: A start after the loss of everything, on a machine that is busy.
RETURN_S = 90.0
SETTINGS = {
    "GRIDKEEPER_ACCOUNT__MARKET": "linear",
    "GRIDKEEPER_ACCOUNT__RECV_WINDOW_MS": "500",
    "GRIDKEEPER_CLOCK_SKEW_MS": "500",
    "GRIDKEEPER_LEASE_S": "2",
    "GRIDKEEPER_HEARTBEAT_S": "0.5",
    "GRIDKEEPER_DEAD_MAN_SWITCH_S": str(COUNTDOWN_S),
}


@pytest_asyncio.fixture
async def host() -> AsyncIterator[LocalSystem]:
    """A node that alone keeps its Postgres running, and trades one symbol."""
    with temporary_data_dir() as data_dir:
        system = LocalSystem(
            data_dir=data_dir, market=Market(symbols=(SYMBOL,)), environment=SETTINGS
        )
        try:
            await system.start_simulator()
            await system.start_node()
            async with open_database(system.settings) as database:
                await RunningSystem(system, database).add_grid(SYMBOL, SPEC)
            await freeze(system, is_frozen=True)
            await eventually(lambda: ladder_rests(system), "the ladder rests")
            await eventually(lambda: is_settled(system), "nothing moves any more")
            yield system
        finally:
            await system.close()


async def freeze(system: LocalSystem, *, is_frozen: bool) -> None:
    await system.control(
        "/control/freeze", {"market": "futures", "symbol": "BTCUSDT", "frozen": is_frozen}
    )


async def resting(system: LocalSystem) -> list[Any]:
    return list(open_orders(await system.control("/control/state"), "futures"))


async def ladder_rests(system: LocalSystem) -> bool:
    """Four levels, but for the one that the price may stand too near to."""
    return len(await resting(system)) >= 3


async def is_settled(system: LocalSystem) -> bool:
    """What was filled before the market was frozen has its exit."""
    before = await resting(system)
    await asyncio.sleep(1.0)
    return before == await resting(system)


async def countdowns(system: LocalSystem) -> list[Any]:
    ledger: Any = await system.control("/control/ledger")
    return [record for record in ledger["records"] if record["kind"] == "countdown_set"]


async def cancelled_by_switch(system: LocalSystem) -> list[Any]:
    ledger: Any = await system.control("/control/ledger")
    return [
        record
        for record in ledger["records"]
        if record["kind"] == "order_cancelled"
        and record["cancel_client_order_id"].startswith("countdown-")
    ]


async def test_row_28_orders_of_a_dead_host_are_cancelled_by_the_venue_and_come_back(
    host: LocalSystem,
) -> None:
    async def was_fed_for_longer_than_a_countdown() -> bool:
        fed = await countdowns(host)
        return len(fed) > 1 and fed[-1]["time_ms"] - fed[0]["time_ms"] > COUNTDOWN_S * 1_000

    await eventually(was_fed_for_longer_than_a_countdown, "the switch is fed")
    assert await cancelled_by_switch(host) == []
    before = {order["clientOrderId"] for order in await resting(host)}

    await host.kill_node()
    kill_postgres(host.data_dir)

    async def nothing_rests() -> bool:
        return not await resting(host)

    await eventually(nothing_rests, "the venue cancels all", COUNTDOWN_S + 2)
    assert {o["client_order_id"] for o in await cancelled_by_switch(host)} == before

    await freeze(host, is_frozen=False)
    await host.start_node()
    await eventually(lambda: ladder_rests(host), "the ladder is back", RETURN_S)
    assert not before & {order["clientOrderId"] for order in await resting(host)}
    async with open_database(host.settings) as database:
        again = RunningSystem(host, database)
        await again.assert_sound()
        told = await again.rows(
            "SELECT status FROM orders WHERE client_order_id = ANY(:ids)", ids=list(before)
        )
        assert [row.status for row in told] == ["cancelled"] * len(before)


async def test_row_28_graceful_stop_that_keeps_orders_takes_the_switch_back(
    host: LocalSystem,
) -> None:
    async def is_armed() -> bool:
        return bool(await countdowns(host))

    await eventually(is_armed, "the switch is armed")
    before = await resting(host)

    await host.stop_node()

    assert (await countdowns(host))[-1]["due_ms"] == 0
    assert await resting(host) == before
