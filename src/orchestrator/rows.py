"""What the orchestrator asks of Postgres; the named class of `store` says what each means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Protocol

from domain.contracts import Income
from grid.edits import Edit, Standing
from grid.spec import GridSpec
from ports.store import Desired
from risk.reservations import PortfolioLimits
from store.nodes import Beat, ExecutorId, Member, Placed, Process
from store.registry import NewSymbol, RegisteredSymbol
from store.reservations import Room
from store.specs import Look, MadeVersion, SpecRequest


class SpecRows(Protocol):
    """The grids of the symbols by version: `store.specs.Specs`."""

    async def look(self, account: str, symbol: str) -> Look | None: ...

    async def spec(self, shard: int, version: int) -> GridSpec | None: ...

    async def update(
        self, asked: SpecRequest, edit: Callable[[Standing], Edit], room: Room
    ) -> MadeVersion: ...


class SymbolRows(Protocol):
    """The registered symbols: `store.registry.Registry`."""

    @property
    def specs(self) -> SpecRows: ...

    async def symbol(self, shard: int) -> RegisteredSymbol: ...

    async def active_symbols(self) -> Sequence[RegisteredSymbol]: ...

    async def add_symbol(
        self,
        new: NewSymbol,
        run: Mapping[str, str],
        run_id_prefix: str,
        limits: PortfolioLimits,
    ) -> int: ...

    async def desire(
        self, account: str, symbol: str, desired: Desired, workflow_id: str
    ) -> RegisteredSymbol | None: ...

    async def ask_reconcile(self, account: str, symbol: str) -> RegisteredSymbol | None: ...

    async def pin(self, account: str, symbol: str, node: str | None) -> RegisteredSymbol | None: ...

    async def mark_of(
        self, account: str, symbol: str, workflow_id: str
    ) -> tuple[RegisteredSymbol, bool] | None: ...

    async def held_inventory(self, account: str, base: str) -> Decimal: ...

    async def node_of(self, shard: int) -> str | None: ...


class KillSwitchRow(Protocol):
    """The kill switch: `store.kill_switch.KillSwitch`."""

    async def is_engaged(self) -> bool: ...

    async def rearm(self, *, reason: str, workflow_id: str) -> None: ...

    async def live_order_count(self) -> int: ...


class RunRows(Protocol):
    """What one executor writes about what it runs: `store.runs.Runs`."""

    async def release(self, shard: int) -> None: ...

    async def begin_start(self, shard: int) -> object: ...

    async def end_start(self, shard: int) -> None: ...

    async def change_starts(self, workflow_id: str) -> int: ...

    async def begin_change(self, workflow_id: str) -> None: ...

    async def end_change(self, workflow_id: str) -> None: ...

    async def halt(self, shard: int, reason: str, *, is_quarantined: bool = False) -> None: ...


class NodeRows(Protocol):
    """The nodes, and where symbols are: `store.nodes.Nodes`."""

    async def join(
        self, executor_id: ExecutorId, name: str, process: Process, capacity: int
    ) -> None: ...

    async def beat(
        self,
        executor_id: ExecutorId,
        *,
        reaches_exchange: bool,
        account: str,
        told_pause_s: float,
    ) -> Beat | None: ...

    def only_one(self) -> AbstractAsyncContextManager[bool]: ...

    async def members(self) -> Sequence[Member]: ...

    async def end_sessions(self, lost: Sequence[Member]) -> Sequence[str]: ...

    async def remove(self, lost: Sequence[Member]) -> Sequence[ExecutorId]: ...

    async def leave(self, executor_id: ExecutorId) -> None: ...

    async def drain(self, name: str, *, is_draining: bool) -> object: ...

    async def placed(self) -> Sequence[Placed]: ...

    async def place(self, homes: Mapping[int, ExecutorId]) -> None: ...


class WalletRows(Protocol):
    """One account's ledger: `store.wallets.Wallets`."""

    async def ask_from_ms(self) -> int | None: ...

    async def book(self, found: Sequence[Income]) -> int: ...
