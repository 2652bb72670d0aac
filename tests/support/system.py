"""A running Gridkeeper for end-to-end tests: real processes, a real Postgres, a real exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from audit.auditor import audit
from audit.report import Report
from audit.simulator import SimulatorAccess
from cli.local_system import LocalSystem, Market, add_symbols, demo_spec, temporary_data_dir
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, new_request_id, open_database
from store.engine import transaction
from store.registry import Registry

#: Long for a loaded machine; every wait ends as soon as what it waits for is so.
PATIENCE_S = 45.0


@dataclass
class RunningSystem:
    system: LocalSystem
    database: Database
    acknowledged: list[str] = field(default_factory=list)

    async def add(self, *symbols: str) -> None:
        self.acknowledged += await add_symbols(self.database, symbols, demo_spec())

    async def add_grid(self, symbol: str, spec: Mapping[str, object]) -> None:
        self.acknowledged += await add_symbols(self.database, (symbol,), spec)

    async def request(self, symbol: str) -> None:
        """Ask for a symbol without waiting for what becomes of it."""
        asked = await self.database.requests.add(symbol, demo_spec(), new_request_id())
        self.acknowledged.append(asked)

    async def exchange_has_traded(self, fills: int) -> None:
        """Wait until the exchange itself has filled this many times."""

        async def enough() -> bool:
            ledger: Any = await self.system.control("/control/ledger")
            kinds = [record["kind"] for record in ledger["records"]]
            return kinds.count("order_filled") >= fills

        await eventually(enough, f"{fills} fills at the exchange")

    async def restart_node(self) -> None:
        await self.system.kill_node()
        await self.system.start_node()

    async def until_trading(self) -> None:
        """Wait until every request is served and a live node runs every symbol that should run."""
        registry = Registry(self.database.engine)

        async def nothing_idle() -> bool:
            try:
                served = [await self.database.requests.progress(i) for i in self.acknowledged]
                idle = await registry.idle_symbols(self.system.node_pid)
            except StoreUnavailable:
                return False
            return not idle and all(p is not None and p.is_finished for p in served)

        await eventually(nothing_idle, "every symbol trades")

    async def rows(self, query: str, **values: object) -> Sequence[Any]:
        async with transaction(self.database.engine) as connection:
            return (await connection.execute(text(query), values)).all()

    async def execute(self, statement: str) -> None:
        async with transaction(self.database.engine) as connection:
            await connection.execute(text(statement))

    async def value(self, query: str, **values: object) -> Any:
        return (await self.rows(query, **values))[0][0]

    async def until_rows(self, query: str, **values: object) -> Sequence[Any]:
        """Wait until a query finds something."""
        found: Sequence[Any] = ()

        async def look() -> bool:
            nonlocal found
            with suppress(StoreUnavailable):
                found = await self.rows(query, **values)
            return bool(found)

        await eventually(look, query)
        return found

    async def audit(self, settle_s: float = 15.0, *, measures_kills: bool = False) -> Report:
        return await audit(
            self.database.dsn,
            SimulatorAccess(self.system.simulator_dir),
            settle_s=settle_s,
            acknowledged=self.acknowledged,
            measures_kills=measures_kills,
        )

    async def assert_sound(self, *, measures_kills: bool = False) -> None:
        """Every symbol trades again, and the auditor finds nothing wrong."""
        await self.until_trading()
        report = await self.audit(measures_kills=measures_kills)
        assert report.ok, "\n".join(map(str, report.violations)) or str(report)


async def eventually(
    look: Callable[[], Awaitable[bool]],
    what: str,
    patience_s: float = PATIENCE_S,
    *,
    evidence: Callable[[], str] = str,
) -> None:
    """Poll until `look` says yes; fail the test after `patience_s`, with what there is then."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not await look():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not in {patience_s} s: {what}\n{evidence()}")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def running_system(
    *,
    market: Market | None = None,
    node_command: Sequence[str] | None = None,
    **environment: str,
) -> AsyncIterator[RunningSystem]:
    """An exchange, a database and a node, all gone at the end."""
    with temporary_data_dir() as data_dir:
        system = LocalSystem(
            data_dir=data_dir,
            market=market or Market(symbols=("BTC/USDT", "ETH/USDT")),
            environment=environment,
        )
        if node_command is not None:
            system.node_command = node_command
        try:
            await system.start_simulator()
            async with open_database(system.settings) as database:
                await system.start_node()
                yield RunningSystem(system, database)
                await system.stop_node()
        finally:
            await system.close()
