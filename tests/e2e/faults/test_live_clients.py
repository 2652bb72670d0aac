"""Clients of live events that do not read, beside a node that trades."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.local_system import Market
from support.serving import free_port, hang_at_events
from support.system import RunningSystem, eventually, running_system

TOKEN = "a-token-for-tests-only"
EVENTS = "/api/v1/events"
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
HUNG = 10
#: Prices move at every look: this fills a client's buffers, and then its time runs out.
DROPPED_WITHIN_S = 120.0


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    """Those without labels."""
    exposition = (await client.get("/metrics")).text
    samples = [s for f in text_string_to_metric_families(exposition) for s in f.samples]
    return {sample.name: sample.value for sample in samples if not sample.labels}


async def until_each_decided(running: RunningSystem, times: int) -> None:
    """Wait until every symbol has decided so many times more."""
    counted = "SELECT shard, count(*) AS decisions FROM decisions GROUP BY shard"
    before = {row.shard: row.decisions for row in await running.rows(counted)}
    assert len(before) == len(SYMBOLS)

    async def all_did() -> bool:
        now = {row.shard: row.decisions for row in await running.rows(counted)}
        return all(now[shard] >= count + times for shard, count in before.items())

    await eventually(all_did, f"{times} more decisions of each symbol", DROPPED_WITHIN_S)


async def _symbols_told(lines: AsyncIterator[str]) -> int:
    """Read until the stream ends; how often a symbol was told of."""
    told = 0
    async for line in lines:
        told += line == "event: symbol"
    return told


async def test_row_30_clients_that_never_read_are_dropped_and_trading_goes_on() -> None:
    port = free_port()
    async with running_system(
        market=Market(symbols=SYMBOLS),
        GRIDKEEPER_API__PORT=str(port),
        GRIDKEEPER_API__TOKEN=TOKEN,
    ) as running:
        await running.add(*SYMBOLS)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30
        ) as client:
            with ExitStack() as stack:
                for _ in range(HUNG):
                    stack.enter_context(await hang_at_events(port, TOKEN))

                async def all_hang() -> bool:
                    return (await metrics(client))["gridkeeper_event_clients"] == HUNG

                await eventually(all_hang, f"{HUNG} clients are connected")
                async with client.stream("GET", EVENTS) as answer:
                    reading = asyncio.create_task(_symbols_told(answer.aiter_lines()))
                    await until_each_decided(running, 5)

                    async def all_are_dropped() -> bool:
                        found = await metrics(client)
                        dropped = found["gridkeeper_dropped_event_clients_total"]
                        return (found["gridkeeper_event_clients"], dropped) == (1, HUNG)

                    await eventually(
                        all_are_dropped, "whoever does not read is dropped", DROPPED_WITHIN_S
                    )
                    await until_each_decided(running, 1)
                    await running.assert_sound()
                    # The one that reads is served to the end, which is the node's.
                    await running.system.stop_node()
                    assert await asyncio.wait_for(reading, 10) > 10 * len(SYMBOLS)
