"""Nodes beside each other on one local system, each with lines out of it that may be broken."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from chaos.proxy import Proxy, proxied
from cli.local_system import LocalSystem

COMMAND = ("-m", "cli.main")


@dataclass(slots=True, kw_only=True)
class LocalNode:
    """A `gridkeeper node`, and what stands between it, the database and the exchange."""

    name: str
    system: LocalSystem
    to_database: Proxy
    to_exchange: Proxy
    command: Sequence[str]
    #: As environment variables.
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"node {self.name} was not started")
        return self._process

    @property
    def log(self) -> Path:
        return self.system.data_dir / "logs" / f"{self.name}.log"

    async def start(self) -> None:
        """Start it, again if need be; it is up when it runs symbols, not yet here."""
        arguments = (*self.command, "node", "--name", self.name)
        self._process = await self.system.spawn(self.name, arguments, self.settings)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def ended(self, within_s: float = 30.0) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def kill(self) -> None:
        """SIGKILL, also of one that is stopped."""
        if self._process is not None and self._process.returncode is None:
            self.send(signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def local_node(
    system: LocalSystem,
    dsn: str,
    name: str,
    *,
    command: Sequence[str] = COMMAND,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[LocalNode]:
    """A node that is not started yet, with a proxy to the database and one to the exchange."""
    data_dir = system.data_dir / name
    simulator_dir = data_dir / "simulator"
    simulator_dir.mkdir(parents=True, exist_ok=True)
    address = json.loads((system.simulator_dir / "simulator.json").read_text())
    database = make_url(dsn)
    async with (
        proxied(database.host or "127.0.0.1", database.port or 5432) as to_database,
        proxied(address["host"], address["port"]) as to_exchange,
    ):
        (simulator_dir / "simulator.json").write_text(
            json.dumps(address | {"port": to_exchange.port})
        )
        reached = database.set(host="127.0.0.1", port=to_database.port)
        node = LocalNode(
            name=name,
            system=system,
            to_database=to_database,
            to_exchange=to_exchange,
            command=command,
            settings={
                "GRIDKEEPER_DATA_DIR": str(data_dir),
                "GRIDKEEPER_ACCOUNT__SIMULATOR_DIR": str(simulator_dir),
                "GRIDKEEPER_DATABASE_URL": reached.render_as_string(hide_password=False),
                **(settings or {}),
            },
        )
        try:
            yield node
        finally:
            await node.kill()
