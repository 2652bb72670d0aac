"""A whole Gridkeeper on this machine as real processes: an exchange, a database and a node.

The demo, the crash test and the end-to-end tests drive it; every process in it may be killed.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from chaos.rig import Listing
from domain.errors import RequestRefused
from orchestrator.bootstrap import Database, new_request_id
from orchestrator.settings import AccountSettings, ApiSettings, Settings

START_WAIT_S = 60.0
STOP_WAIT_S = 30.0
_POLL_S = 0.05
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the simulated exchange plays."""

    seed: int = 1
    #: Recordings to replay; a seeded synthetic market where there are none.
    replay: Sequence[Path] = ()
    speed: Decimal = Decimal(1)
    #: Rate of both fees: 0.0001 = 1 bp.
    fee: Decimal = Decimal("0.0001")
    symbols: Sequence[str] = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    #: How often a synthetic price moves.
    ticks_per_s: int = 20
    #: Rate limits of the spot market.
    weight_per_minute: int = 6_000
    orders_per_10s: int = 100


@dataclass(slots=True, kw_only=True)
class LocalSystem:
    """Processes under one data directory; the caller owns the directory."""

    data_dir: Path
    market: Market
    #: Settings of the node as environment variables, on top of the defaults.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: How Python is to run a node.
    node_command: Sequence[str] = ("-m", "cli.main", "up")
    simulator: asyncio.subprocess.Process | None = None
    node: asyncio.subprocess.Process | None = None

    @property
    def settings(self) -> Settings:
        """Settings with which this process, too, finds the database and the exchange."""
        return Settings(
            data_dir=self.data_dir,
            account=AccountSettings(name="sim", simulator_dir=self.simulator_dir),
            api=ApiSettings(port=0),
        )

    @property
    def simulator_dir(self) -> Path:
        return self.data_dir / "simulator"

    async def start_simulator(self) -> None:
        """Start the exchange and wait until it listens; started again it goes on as before."""
        self.simulator_dir.mkdir(parents=True, exist_ok=True)
        config = self.simulator_dir / "simulator.toml"
        config.write_text(_simulator_config(self.market))
        arguments = ["-m", "simulator", "--data-dir", self.simulator_dir, "--config", config]
        address = self.simulator_dir / "simulator.json"
        self.simulator = await self.spawn("simulator", [str(part) for part in arguments])
        pid = self.simulator.pid
        await self._until(
            lambda: address.exists() and json.loads(address.read_text())["pid"] == pid,
            self.simulator,
        )

    async def start_node(self, *, failpoint: str | None = None) -> None:
        """Start a node; it is up when its own log says so or its shards appear, not yet here."""
        extra = {"GRIDKEEPER_FAILPOINT": failpoint} if failpoint else {}
        self.node = await self.spawn("node", self.node_command, extra)

    @property
    def node_pid(self) -> int:
        """Of the node started last; 0 before the first."""
        return self.node.pid if self.node else 0

    async def kill_node(self) -> int:
        """SIGKILL; returns when the process is gone."""
        if self.node is None:
            raise RuntimeError("no node was started")
        return await _end(self.node, signal.SIGKILL)

    async def wait_node(self) -> int:
        """Wait for the node to end by itself, as one with a failpoint does."""
        if self.node is None:
            raise RuntimeError("no node was started")
        return await self.node.wait()

    async def stop_node(self) -> int:
        """SIGTERM, as a service manager stops it."""
        if self.node is None:
            raise RuntimeError("no node was started")
        return await _end(self.node, signal.SIGTERM)

    async def close(self) -> None:
        """End every process that still runs."""
        for process, how in ((self.node, signal.SIGTERM), (self.simulator, signal.SIGTERM)):
            if process is not None and process.returncode is None:
                await _end(process, how)

    async def control(self, path: str, body: object | None = None, method: str = "") -> object:
        """Call the simulator's control API."""
        address = json.loads((self.simulator_dir / "simulator.json").read_text())
        request = urllib.request.Request(
            f"http://{address['host']}:{address['control_port']}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {address['control_token']}",
                "Content-Type": "application/json",
            },
            method=method or ("GET" if body is None else "POST"),
        )
        return await asyncio.to_thread(_fetch, request)

    async def spawn(
        self, name: str, arguments: Sequence[str], extra: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start Python with settings that lead to this system, and a log by that name."""
        logs = self.data_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GRIDKEEPER_")},
            "GRIDKEEPER_DATA_DIR": str(self.data_dir),
            "GRIDKEEPER_ACCOUNT__SIMULATOR_DIR": str(self.simulator_dir),
            "GRIDKEEPER_API__PORT": "0",
            **self.environment,
            **(extra or {}),
        }
        with (logs / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def log_tail(self, name: str, lines: int = 30) -> str:
        path = self.data_dir / "logs" / f"{name}.log"
        return "\n".join(path.read_text().splitlines()[-lines:]) if path.exists() else ""

    async def _until(
        self, is_ready: Callable[[], bool], process: asyncio.subprocess.Process
    ) -> None:
        deadline = asyncio.get_running_loop().time() + START_WAIT_S
        while not is_ready():
            if process.returncode is not None:
                raise RuntimeError(f"process ended with {process.returncode}")
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError("process did not become ready")
            await asyncio.sleep(_POLL_S)


def demo_spec(ratio: str = "1.0005") -> dict[str, object]:
    """A grid of 5 bp with three levels on each side, of 50 quote an order."""
    return {
        "spacing": {"kind": "geometric", "ratio": ratio},
        "range": {"kind": "window", "buy_window": 3, "sell_window": 3},
        "order_size": {"kind": "quote", "amount": "50"},
        "budget_quote": "1000",
    }


async def add_symbols(
    database: Database, symbols: Sequence[str], spec: Mapping[str, object]
) -> list[str]:
    """Ask for each symbol and wait until it trades; the ids of the requests.

    Raises
    ------
    RequestRefused
        If one is refused.
    """
    asked = [await database.requests.add(symbol, spec, new_request_id()) for symbol in symbols]
    for workflow_id in asked:
        progress = await database.requests.wait(workflow_id, START_WAIT_S)
        if progress.result is None or progress.result["outcome"] != "done":
            raise RequestRefused(f"{workflow_id}: {progress.status} {progress.result}")
    return asked


@contextmanager
def temporary_data_dir(*, keep: bool = False) -> Iterator[Path]:
    """A directory of our own that Postgres' user, too, can reach."""
    path = Path(tempfile.mkdtemp(prefix="gridkeeper-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


def kept_copy(data_dir: Path) -> Path:
    """What is left of a directory that goes, or of one on a file system that does."""
    return shutil.copytree(data_dir, data_dir.with_name(f"{data_dir.name}-kept"))


def _end_with_parent() -> None:
    """Have the kernel end this process as a stop does when its parent ends, even by kill -9."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _end(process: asyncio.subprocess.Process, how: signal.Signals) -> int:
    if process.returncode is None:
        process.send_signal(how)
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                return await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()


def _fetch(request: urllib.request.Request) -> object:
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # nosec B310
        return json.loads(answer.read() or b"null")


#: Base, tick, lot, first price, quantity shown, how many ticks wide the spread is.
_MARKETS = {
    "BTC/USDT": ("BTC", "0.01", "0.00001", "61800.00", "0.05"),
    "ETH/USDT": ("ETH", "0.01", "0.0001", "2680.00", "1"),
    "SOL/USDT": ("SOL", "0.01", "0.001", "160.00", "15"),
    "BNB/USDT": ("BNB", "0.01", "0.001", "520.00", "5"),
    "XRP/USDT": ("XRP", "0.0001", "0.1", "0.6100", "2000"),
    "BTC/USDT:USDT": ("BTC", "0.1", "0.001", "61800.0", "2"),
}


def listing_of(symbol: str) -> Listing:
    """A symbol as the simulated exchange lists it at first."""
    base, tick, lot, _, _ = _MARKETS[symbol]
    return Listing(
        name=f"{base}USDT",
        market="futures" if ":" in symbol else "spot",
        tick_size=Decimal(tick),
        step_size=Decimal(lot),
    )


def _simulator_config(market: Market) -> str:
    parts = [f"seed = {market.seed}"]
    parts.append(
        f"[limits]\nweight_per_minute = {market.weight_per_minute}\n"
        f"orders_per_10s = {market.orders_per_10s}"
    )
    if market.replay:
        paths = ", ".join(json.dumps(str(path.resolve())) for path in market.replay)
        parts.append(f'[replay]\npaths = [{paths}]\nspeed = "{market.speed}"')
    for symbol in market.symbols:
        base, tick, lot, price, shown = _MARKETS[symbol]
        section = "perpetuals" if ":" in symbol else "symbols"
        parts.append(
            f'[[{section}]]\nname = "{base}USDT"\nbase = "{base}"\nquote = "USDT"\n'
            f'tick_size = "{tick}"\nstep_size = "{lot}"\nstart_price = "{price}"\n'
            f'displayed_quantity = "{shown}"\nmaker_fee = "{market.fee}"\n'
            f'taker_fee = "{market.fee}"\nticks_per_s = {market.ticks_per_s}'
        )
    return "\n\n".join(parts) + "\n"
