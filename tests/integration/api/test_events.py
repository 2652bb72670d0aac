"""Live events over real sockets: for those who read, and for those who do not."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import STOP_WAIT_S
from api.feed import CLIENTS_MAX
from api.served import Served
from domain.market import BookTop
from integration.api.conftest import READ_TOKEN, TOKEN, StandInDatabase
from ports.store import Status
from store.engine import create_engine
from support.sample_history import write_sample_history
from support.serving import Moved, free_port, hang_at_events, moved, served
from support.system import eventually
from symbol_manager.view import ShardView

EVENTS = "/api/v1/events"
HUNG = 8
SYMBOLS = 100


class Busy:
    """More news at each look than any client's buffers hold."""

    def __init__(self) -> None:
        self.looks = 0

    async def __call__(self, _: Served) -> Mapping[str, bytes]:
        self.looks += 1
        padding = "x" * 1_000
        document = json.dumps({"look": self.looks, "padding": padding}).encode()
        return {f"S{number}": document for number in range(SYMBOLS)}


class Reader:
    """A client that reads everything at once."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        #: The newest that it was told of.
        self.look = 0

    async def read(self) -> None:
        async for _, told in events_of(self._answer):
            self.look = told.get("look", 0)


@pytest.fixture
def here(running: Served) -> Moved:
    return moved(running, port=free_port())


async def events_of(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Name and document of each event."""
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def metric(client: httpx.AsyncClient, name: str) -> float:
    exposition = (await client.get("/metrics")).text
    samples = [s for f in text_string_to_metric_families(exposition) for s in f.samples]
    return next(sample.value for sample in samples if sample.name == name)


async def test_events_begin_with_every_symbol_and_go_on_with_changes(
    here: Moved, postgres_dsn: str, engine: AsyncEngine, views: dict[int, ShardView]
) -> None:
    write_sample_history(postgres_dsn)
    async with served(here) as client, client.stream("GET", EVENTS) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        events = aiter(events_of(answer))
        assert await anext(events) == ("database", {"answers": True})
        name, told = await anext(events)
        (btc,) = (await client.get("/api/v1/symbols")).json()
        assert name == "symbol"
        assert told == {"fills": told["fills"]} | {key: btc[key] for key in told if key != "fills"}
        assert told["fills"] == 3

        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE shards SET status = 'halted', status_reason = 'a drill'"
                    " WHERE symbol = 'BTC/USDT'"
                )
            )
        name, told = await asyncio.wait_for(anext(events), 10)
        assert (name, told["status"], told["reason"]) == ("symbol", "halted", "a drill")

        views[told["shard"]] = ShardView(
            symbol="BTC/USDT",
            epoch=told["epoch"],
            status=Status.HALTED,
            reason="",
            book=BookTop(6_175_000, 6_175_001, time.time_ns() // 1_000_000),
            live_orders={},
            parked_trades=0,
        )
        name, told = await asyncio.wait_for(anext(events), 10)
        assert (told["bid"], told["ask"]) == ("61750.00", "61750.01")


async def test_events_are_for_the_read_token_and_for_nobody_without_one(here: Moved) -> None:
    async with served(here) as client:
        refused = await client.get(
            EVENTS, headers={"Authorization": "Bearer wrong-token-for-tests"}
        )
        assert refused.status_code == 401
        foreign = await client.get(EVENTS, headers={"Host": "evil.example"})
        assert foreign.status_code == 400
        reader = {"Authorization": f"Bearer {READ_TOKEN}"}
        async with client.stream("GET", EVENTS, headers=reader) as answer:
            assert answer.status_code == 200


async def test_events_without_postgres_say_so(here: Moved) -> None:
    nowhere = create_engine("postgresql://gridkeeper@127.0.0.1:1/gridkeeper")
    cut_off = replace(here, database=StandInDatabase(nowhere, here.database.requests))
    async with served(cut_off) as client, client.stream("GET", EVENTS) as answer:
        assert await anext(aiter(events_of(answer))) == ("database", {"answers": False})
    await nowhere.dispose()


async def test_clients_that_never_read_cost_a_bounded_memory_and_are_dropped(
    here: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy()
    monkeypatch.setattr("api.routes.events.look_at_symbols", busy)
    monkeypatch.setattr("api.feed.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("api.feed._REST_FACTOR", 0.0)
    monkeypatch.setattr("api.feed.DROP_AFTER_S", 3.0)
    async with served(here) as client, AsyncExitStack() as stack:
        port = here.settings.api.port
        hung = [stack.enter_context(await hang_at_events(port, TOKEN)) for _ in range(HUNG)]

        async def all_hang() -> bool:
            return await metric(client, "gridkeeper_event_clients") == HUNG

        await eventually(all_hang, "all are connected", 10)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        reader = Reader(await stack.enter_async_context(client.stream("GET", EVENTS)))
        stack.callback(asyncio.create_task(reader.read()).cancel)
        wanted = busy.looks + 50

        async def one_is_told_everything() -> bool:
            return reader.look > wanted

        await eventually(one_is_told_everything, "who reads is told of 50 looks", 30)
        # Kept for each they would be 40 MB.
        assert tracemalloc.get_traced_memory()[1] < 4_000_000

        async def all_are_dropped() -> bool:
            return await metric(client, "gridkeeper_dropped_event_clients_total") == HUNG

        await eventually(all_are_dropped, "whoever does not read is dropped", 20)
        assert await metric(client, "gridkeeper_event_clients") == 1
        assert reader.look > busy.looks - 50
        for each in hung:
            assert await asyncio.wait_for(_read_to_the_end(each), 5) < 200_000


async def _read_to_the_end(client: socket.socket) -> int:
    """How many bytes lay in buffers when the connection ended."""
    size = 0
    try:
        while part := await asyncio.get_running_loop().sock_recv(client, 65_536):
            size += len(part)
    except ConnectionResetError:
        pass
    return size


async def test_events_are_served_to_a_bounded_number_at_once(here: Moved) -> None:
    async with served(here) as client, AsyncExitStack() as stack:
        for _ in range(CLIENTS_MAX):
            stack.enter_context(await hang_at_events(here.settings.api.port, TOKEN))

        async def is_full() -> bool:
            return await metric(client, "gridkeeper_event_clients") == CLIENTS_MAX

        await eventually(is_full, "as many are connected as may be", 10)
        answer = await client.get(EVENTS)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "10"
        assert answer.json()["detail"].startswith(f"{CLIENTS_MAX} clients look at events already")
        await stack.aclose()

        async def is_empty() -> bool:
            return await metric(client, "gridkeeper_event_clients") == 0

        await eventually(is_empty, "those who leave are forgotten", 10)


async def test_server_that_stops_waits_for_no_reader(
    here: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.events.look_at_symbols", Busy())
    monkeypatch.setattr("api.feed.LOOK_EVERY_S", 0.01)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(served(here))
        with await hang_at_events(here.settings.api.port, TOKEN):

            async def hangs() -> bool:
                return await metric(client, "gridkeeper_event_clients") == 1

            await eventually(hangs, "it is connected", 10)
            started_s = time.monotonic()
            await stack.aclose()
    assert time.monotonic() - started_s < STOP_WAIT_S
