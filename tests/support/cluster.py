"""Several nodes on one Postgres and one exchange, each a real process that may be cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from cli.local_nodes import COMMAND, LocalNode, local_node
from cli.local_system import LocalSystem, Market, temporary_data_dir
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import open_database
from support.system import RunningSystem, eventually

FENCED = 75
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT")
#: Short, so that a lost node is found soon: lease and expiry window together take 3 s.
LEASE_S = 2.0
EXPIRY_S = 1.0
#: What a take-over may take on top of lease and expiry window.
TAKE_OVER_S = 5.0
#: A test machine under load is slow to start processes and to ask the exchange.
SLACK_S = 10.0

_RUNS = """
    SELECT symbol, name FROM shards JOIN nodes ON executor_id = owner
     WHERE shards.status = 'running'
"""


@dataclass
class Cluster(RunningSystem):
    """A system without a node of its own, and any number of them beside."""

    nodes: dict[str, LocalNode] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    #: Of each node, as environment variables on top of the others.
    settings: Mapping[str, str] = field(default_factory=dict)

    async def start(self, name: str, command: Sequence[str] = COMMAND) -> LocalNode:
        """Start a node; it is up when it runs symbols or the list shows it, not yet here."""
        settings = {
            "GRIDKEEPER_LEASE_S": str(LEASE_S),
            "GRIDKEEPER_HEARTBEAT_S": "0.5",
            "GRIDKEEPER_ACCOUNT__RECV_WINDOW_MS": "500",
            "GRIDKEEPER_CLOCK_SKEW_MS": "500",
            "GRIDKEEPER_STALE_AFTER_MS": "3000",
            **self.settings,
        }
        node = await self.stack.enter_async_context(
            local_node(self.system, self.database.dsn, name, command=command, settings=settings)
        )
        await node.start()
        self.nodes[name] = node
        return node

    async def symbols_of(self) -> dict[str, set[str]]:
        """The symbols that each node runs."""
        found: dict[str, set[str]] = {}
        for row in await self.rows(_RUNS):
            found.setdefault(row.name, set()).add(row.symbol)
        return found

    async def until_counts(self, within_s: float = 45.0, **counts: int) -> None:
        """Wait until each of these nodes runs so many symbols, and nobody else any."""
        wanted = {name: count for name, count in counts.items() if count}
        seen: dict[str, set[str]] = {}

        async def as_wanted() -> bool:
            nonlocal seen
            with suppress(StoreUnavailable):
                seen = await self.symbols_of()
                return {name: len(symbols) for name, symbols in seen.items()} == wanted
            return False

        await eventually(
            as_wanted, f"{counts}", within_s, evidence=lambda: f"{seen}\n{self.log_tails()}"
        )

    def log_tails(self) -> str:
        return "\n".join(
            f"--- {node.name}\n" + "\n".join(node.log.read_text().splitlines()[-40:])
            for node in self.nodes.values()
        )

    async def assert_sound(self, *, measures_kills: bool = False) -> None:
        """Some live node runs each symbol, and the auditor finds nothing wrong."""

        async def all_run() -> bool:
            return sum(len(of) for of in (await self.symbols_of()).values()) == len(SYMBOLS)

        await eventually(all_run, "every symbol trades")
        report = await self.audit(measures_kills=measures_kills)
        assert report.ok, "\n".join(map(str, report.violations)) or str(report)


@asynccontextmanager
async def running_cluster(
    *names: str, market: Market | None = None, **settings: str
) -> AsyncIterator[Cluster]:
    """An exchange, a database and these nodes; if there are any, they trade all symbols."""
    with temporary_data_dir() as data_dir:
        system = LocalSystem(data_dir=data_dir, market=market or Market(symbols=SYMBOLS))
        try:
            await system.start_simulator()
            async with open_database(system.settings) as database, AsyncExitStack() as stack:
                cluster = Cluster(system, database, stack=stack, settings=settings)
                for name in names:
                    await cluster.start(name)
                if names:
                    await cluster.add(*SYMBOLS)
                yield cluster
        finally:
            await system.close()
