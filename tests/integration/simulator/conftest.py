"""Fixtures: a simulated exchange in this process, and a ccxt client of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integration.simulator.harness import Simulator, running
from simulator.config import SimulatorConfig


@pytest.fixture
def config(tmp_path: Path) -> SimulatorConfig:
    return SimulatorConfig(data_dir=tmp_path / "simulator", seed=5)


@pytest.fixture
async def simulator(config: SimulatorConfig) -> AsyncIterator[Simulator]:
    async with running(config) as simulator:
        yield simulator


@pytest.fixture
async def binance(simulator: Simulator) -> Any:
    """An unmodified ccxt.pro client with its markets loaded."""
    exchange = await simulator.client()
    await exchange.load_markets()
    return exchange


@pytest.fixture
async def usdm(simulator: Simulator) -> Any:
    """An unmodified ccxt.pro client of the futures market, with its markets loaded."""
    exchange = await simulator.futures_client()
    await exchange.load_markets()
    return exchange
