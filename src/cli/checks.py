"""What a node needs to run, looked at one by one: each look ends as a result, never as an error."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.listening import Listening
from cli.server import database_server
from domain.errors import ConfigurationError, GridkeeperError
from domain.market import Quote
from exchanges.venues import VENUES
from ext import ladder
from orchestrator.bootstrap import open_exchange
from orchestrator.settings import Settings
from orchestrator.takeover import this_process
from ports.exchange import ExchangePort
from store import history
from store.engine import create_engine, transaction
from store.migrate import current_revision, newest_revision
from store.postgres_binaries import installed_programs

PYTHON_MIN = (3, 11)
POSTGRES_MIN = 14
DISK_FREE_MIN_GIB = 1
_GIB = 1 << 30
#: The newest of the events that arrive in this time tells the venue's clock.
CLOCK_LISTEN_S = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was found, and what to do about it if it is not well."""

    name: str
    is_ok: bool
    value: str
    remedy: str = ""


async def check_all(settings: Settings) -> AsyncIterator[Check]:
    """Every check in the order in which its failure would explain the next ones."""
    for look in (_python, _kernels, _data_dir, _disk_space, _postgres_programs):
        yield look(settings)
    async for check in _database(settings):
        yield check
    async for check in _exchange(settings):
        yield check


def _python(_: Settings) -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, PYTHON_MIN))
    is_ok = sys.version_info >= PYTHON_MIN
    return Check("Python", is_ok, found, f"install Python {wanted} or newer")


def _kernels(_: Settings) -> Check:
    found = "compiled" if ladder.COMPILED else "pure Python"
    remedy = "run `make setup`; unset GRIDKEEPER_PURE_PYTHON"
    return Check("decision kernels", ladder.COMPILED, found, remedy)


def _data_dir(settings: Settings) -> Check:
    path = settings.data_dir
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        remedy = "set GRIDKEEPER_DATA_DIR to a directory of yours"
        return Check("data directory", False, f"{path}: {error.strerror}", remedy)
    return Check("data directory", True, f"{path} is writable")


def _disk_space(settings: Settings) -> Check:
    existing = next(
        path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists()
    )
    free_gib = shutil.disk_usage(existing).free / _GIB
    remedy = f"free {DISK_FREE_MIN_GIB} GiB: nothing is decided that cannot be written down"
    return Check("disk space", free_gib >= DISK_FREE_MIN_GIB, f"{free_gib:.1f} GiB free", remedy)


def _postgres_programs(settings: Settings) -> Check:
    if settings.database_url is not None:
        return Check("database server", True, "as configured")
    try:
        return Check("database server", True, f"embedded, from {installed_programs()}")
    except GridkeeperError as error:
        return Check("database server", False, str(error), "run `make setup`")


async def _database(settings: Settings) -> AsyncIterator[Check]:
    remedy = "start it, correct GRIDKEEPER_DATABASE_URL, or unset it to use the embedded one"
    try:
        with database_server(settings) as dsn:
            engine = create_engine(dsn, pool_size=1)
            try:
                yield await _postgres_version(engine)
                schema = await _schema(dsn)
                yield schema
                if schema.is_ok:
                    yield await _kill_switch(engine)
                    yield await _api_port(settings, engine)
            finally:
                await engine.dispose()
    except (GridkeeperError, SQLAlchemyError) as error:
        yield Check("database", False, str(error).splitlines()[0], remedy)


async def _postgres_version(engine: AsyncEngine) -> Check:
    async with transaction(engine) as connection:
        number = await connection.execute(
            text("SELECT CAST(current_setting('server_version_num') AS integer) / 10000")
        )
        major = int(number.scalar_one())
    remedy = f"use PostgreSQL {POSTGRES_MIN} or newer"
    return Check("database", major >= POSTGRES_MIN, f"PostgreSQL {major} answers", remedy)


async def _schema(dsn: str) -> Check:
    current = await asyncio.to_thread(current_revision, dsn)
    newest = newest_revision()
    found = f"revision {current or 'none'} of {newest}"
    return Check("schema", current == newest, found, "run `gridkeeper db migrate`")


async def _kill_switch(engine: AsyncEngine) -> Check:
    switch = await history.kill_switch(engine)
    if switch is None or not switch.engaged:
        return Check("kill switch", True, "not engaged")
    found = f"engaged since {switch.changed_at:%Y-%m-%d %H:%M} UTC: {switch.reason}"
    return Check("kill switch", False, found, "when it is safe: `gridkeeper rearm --reason …`")


async def _api_port(settings: Settings, engine: AsyncEngine) -> Check:
    name, api = "API port", settings.api
    if not api.enabled:
        return Check(name, True, "the API is off")
    try:
        Listening.of(api).tls()
    except ConfigurationError as error:
        return Check(name, False, f"{error.field} {error.rule}: {error.value}", error.remedy)
    if _is_free(api.host, api.port):
        return Check(name, True, f"{api.host}:{api.port or 'any'} is free")
    here = [
        node
        for node in await history.nodes(engine)
        if node.host == this_process().host and node.silent_s < settings.dead_after_s
    ]
    if here:
        return Check(name, True, f"{api.port} is in use; node {here[0].name} runs here")
    return Check(
        name, False, f"{api.port} is taken", "stop what uses it or set GRIDKEEPER_API__PORT"
    )


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False


async def _exchange(settings: Settings) -> AsyncIterator[Check]:
    try:
        exchange = open_exchange(settings)
    except ConfigurationError as error:
        yield Check("exchange", False, f"`{error.field}` {error.rule}", error.remedy)
        return
    yield _venue(settings)
    try:
        yield await _attempt("exchange", lambda: _markets(exchange), _reach_remedy(settings))
        yield await _attempt("exchange clock", lambda: _clock(exchange, settings), "see above")
        yield await _attempt("exchange keys", lambda: _keys(exchange), "check the account's keys")
    finally:
        await exchange.close()


def _venue(settings: Settings) -> Check:
    name = settings.account.venue
    venue = VENUES.get(name)
    if venue is None:
        return Check("venue", True, f"{name}: unverified, nothing is guaranteed")
    late = "nothing expires" if venue.expiry is None else "late requests expire"
    found = f"{name}, proof: {venue.proof.value}; {late} (`gridkeeper config venues {name}`)"
    return Check("venue", True, found)


async def _attempt(name: str, look: Callable[[], Awaitable[Check]], remedy: str) -> Check:
    try:
        return await look()
    except GridkeeperError as error:
        return Check(name, False, " ".join(str(error).split())[:200], remedy)


def _reach_remedy(settings: Settings) -> str:
    if settings.account.mode == "simulator":
        return "start it with `gridkeeper sim`"
    return "check the network; the exchange may be in maintenance"


async def _markets(exchange: ExchangePort) -> Check:
    instruments = await exchange.load_instruments()
    return Check("exchange", bool(instruments), f"{len(instruments)} spot markets", "add some")


async def _clock(exchange: ExchangePort, settings: Settings) -> Check:
    symbol = min(await exchange.load_instruments())
    offset_ms = await _clock_offset_ms(exchange, symbol)
    if offset_ms is None:
        return Check("exchange clock", False, f"{symbol}: no event came", "see above")
    remedy = "synchronize this machine's clock (NTP)"
    is_ok = abs(offset_ms) <= settings.clock_skew_ms
    return Check("exchange clock", is_ok, f"{offset_ms:+d} ms from ours", remedy)


async def _clock_offset_ms(exchange: ExchangePort, symbol: str) -> int | None:
    """Venue time less ours, by the event that came with the least delay."""
    offset_ms: int | None = None
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(CLOCK_LISTEN_S),
            aclosing(exchange.watch_quotes(symbol)) as events,
        ):
            async for event in events:
                if isinstance(event, Quote):
                    seen_ms = event.exchange_ms - int(time.time() * 1000)
                    offset_ms = seen_ms if offset_ms is None else max(offset_ms, seen_ms)
    return offset_ms


async def _keys(exchange: ExchangePort) -> Check:
    balances = await exchange.fetch_balances()
    held = sum(1 for amount in balances.values() if amount)
    return Check("exchange keys", True, f"accepted; the account holds {held} assets")
