"""Fixtures: a simulated exchange as a process of its own, and the adapter on it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from exchanges.account import AccountConfig, Mode
from exchanges.ccxt_exchange import CcxtExchange
from integration.exchanges.harness import Venue

SOURCE = Path(__file__).parents[3] / "src"
Connect = Callable[..., CcxtExchange]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    data_dir = tmp_path / "simulator"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulator", "--data-dir", str(data_dir), "--seed", "5"),
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert (await process.stdout.readline()).startswith(b"trading ")
        venue = Venue(data_dir, process)
        await venue.freeze()
        yield venue
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(10):
            await process.communicate()


@pytest.fixture
async def connect(venue: Venue) -> AsyncIterator[Connect]:
    """Makes adapters of the simulated account; they are closed afterwards."""
    async with AsyncExitStack() as stack:

        def connect(**settings: Any) -> CcxtExchange:
            defaults: dict[str, Any] = {
                "name": "sim",
                "mode": Mode.SIMULATOR,
                "api_key": "sim-key",
                "api_secret": "sim-secret",
                "simulator_file": venue.address_file,
                "timeout_ms": 1_000,
            }
            exchange = CcxtExchange(AccountConfig(**{**defaults, **settings}))
            stack.push_async_callback(exchange.close)
            return exchange

        yield connect


@pytest.fixture
def exchange(connect: Connect) -> CcxtExchange:
    return connect()
