"""A registered symbol with an owner, and what its owner commits, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import func, table, text
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side, decision_id, symbol_key
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Intent, Order, PartiallyFilled
from domain.plans import CommittedPlan, Plan, RiskApproved
from grid.ladder import LadderVersion
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    APPLY_CHANGE,
    CHANGES_QUEUE,
    RUN_SHARD,
    SHARDS_QUEUE,
    run_shard_id,
)
from ports.store import Changes, Claim, Decision, Fill, Origin
from store.engine import transaction
from store.nodes import ExecutorId
from store.registry import Enqueued, NewSymbol, Registry
from store.repository import Repository
from support.fake_exchange import BTC
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    make_intent,
    make_phase,
    make_slot,
    make_spec,
    make_trade,
    placing,
    venue_id,
)

EXECUTOR = ExecutorId("node-1:start-1")
RUN: dict[str, str] = {
    "name": RUN_SHARD,
    "queue": SHARDS_QUEUE,
    "app_version": APPLICATION_VERSION,
    "app_name": APPLICATION_NAME,
}


async def select(engine: AsyncEngine, query: str, **values: Any) -> list[Any]:
    async with transaction(engine) as connection:
        return list(await connection.execute(text(query), values))


async def value(engine: AsyncEngine, query: str, **values: Any) -> Any:
    ((found,),) = await select(engine, query, **values)
    return found


async def execute(engine: AsyncEngine, statement: str, **values: Any) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text(statement), values)


async def join_node(engine: AsyncEngine, executor_id: str = EXECUTOR, **changes: Any) -> None:
    row = {"executor_id": executor_id, "host": "here", "boot_id": "b", "pid": 1, "pid_started": 1}
    name = executor_id.partition(":")[0]
    await execute(
        engine,
        "INSERT INTO nodes (executor_id, name, host, boot_id, pid, pid_started)"
        " VALUES (:executor_id, :name, :host, :boot_id, :pid, :pid_started)",
        **{"name": name} | row | changes,
    )


def new_symbol(request: str = "add:1", instrument: Instrument = BTC, **changes: Any) -> NewSymbol:
    symbol = NewSymbol(
        key=symbol_key(instrument.account, instrument.symbol),
        account=instrument.account,
        symbol=instrument.symbol,
        spec=make_spec().model_dump(mode="json"),
        start_price=Decimal(100),
        phase=make_phase(),
        ladder=LadderVersion(version=0, anchor=Decimal(100), spacing=make_spec().spacing),
        instrument=instrument,
        requested_by=request,
        last_trade_id=None,
        balances={instrument.base: Decimal(0), instrument.quote: Decimal(1_000_000)},
    )
    return replace(symbol, **changes)


async def enqueue(engine: AsyncEngine, name: str, workflow_id: str, queue: str = "any") -> None:
    await Registry(engine).enqueue(
        Enqueued(
            name=name,
            queue=queue,
            workflow_id=workflow_id,
            argument={},
            app_version=APPLICATION_VERSION,
            app_name=APPLICATION_NAME,
        )
    )


async def ask(engine: AsyncEngine, workflow_id: str, *, ago_ms: int = 0) -> str:
    """As if somebody had asked for a change that long ago; the id of its workflow."""
    await enqueue(engine, APPLY_CHANGE, workflow_id, CHANGES_QUEUE)
    await execute(
        engine,
        "UPDATE dbos.workflow_status SET created_at = created_at - :ago WHERE workflow_uuid = :id",
        ago=ago_ms,
        id=workflow_id,
    )
    return workflow_id


async def add_symbol(engine: AsyncEngine, new: NewSymbol | None = None) -> int:
    new = new or new_symbol()
    await ask(engine, new.requested_by)
    return await Registry(engine).add_symbol(new, RUN, f"{RUN_SHARD}:{new.key}")


async def start_workflow(
    engine: AsyncEngine, workflow_id: str, executor_id: str = EXECUTOR, status: str = "PENDING"
) -> None:
    """As if the executor had taken the workflow from its queue."""
    await execute(
        engine,
        "UPDATE dbos.workflow_status SET status = :status, executor_id = :executor"
        " WHERE workflow_uuid = :id",
        status=status,
        executor=executor_id,
        id=workflow_id,
    )


@dataclass
class Owner:
    """One executor that claimed one shard."""

    engine: AsyncEngine
    repository: Repository
    claim: Claim
    _sequence: int = field(default=0)

    def intent(self, number: int = -1, side: Side = Side.BUY, **changes: Any) -> Intent:
        shard, nonce = self.claim.ownership.shard, self.claim.nonce
        lots = changes.pop("lots", ENTRY_LOTS)
        return make_intent(number, side, lots, shard=shard, nonce=nonce, **changes)

    async def commit(self, plan: Plan) -> CommittedPlan:
        self._sequence += 1
        ownership = self.claim.ownership
        decision = Decision(
            decision_id=decision_id(self.claim.key, ownership.epoch, self._sequence),
            ownership=ownership,
            sequence=self._sequence,
            book=BookTop(9_999, 10_001, 5),
            causes=("price",),
            approved=RiskApproved(plan),
        )
        return await self.repository.commit_decision(decision, self.claim.instrument)

    async def place(self, *intents: Intent) -> CommittedPlan:
        return await self.commit(placing(*intents))

    async def record(self, changes: Changes) -> None:
        await self.repository.record(self.claim.ownership, self.claim.instrument, changes)

    async def claim_again(self) -> Owner:
        """The same executor after a restart of the shard: the next epoch."""
        shard = self.claim.ownership.shard
        claim = await self.repository.claim(shard, run_shard_id(self.claim.key, shard))
        return Owner(self.engine, self.repository, claim)


async def make_owner(engine: AsyncEngine, new: NewSymbol | None = None) -> Owner:
    """A symbol that was added, started and claimed."""
    await Registry(engine).installation_nonce()
    new = new or new_symbol()
    shard = await add_symbol(engine, new)
    if not await select(engine, "SELECT FROM nodes WHERE executor_id = :id", id=EXECUTOR):
        await join_node(engine)
    workflow_id = run_shard_id(new.key, shard)
    await start_workflow(engine, workflow_id)
    repository = Repository(engine, EXECUTOR)
    return Owner(engine, repository, await repository.claim(shard, workflow_id))


def own_fill(intent: Intent, trade_id: str, lots: int, **changes: Any) -> Changes:
    """What a fill of an entry does, as the shard records it."""
    trade = make_trade(intent, trade_id, lots, **changes)
    order = Order(intent=intent, state=PartiallyFilled(venue_id(intent), lots))
    return Changes(
        orders={intent.client_order_id: order},
        fills={
            trade_id: Fill(trade=trade, origin=Origin.OWN, client_order_id=intent.client_order_id)
        },
        slots={intent.tag.slot: make_slot(intent.tag.slot.number, lots)},
    )


async def rows_of(engine: AsyncEngine, *tables: str) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            name: await connection.scalar(sql_select(func.count()).select_from(table(name))) or 0
            for name in tables
        }


@asynccontextmanager
async def no_room_for(engine: AsyncEngine, table: str) -> AsyncIterator[None]:
    """Have Postgres answer every insertion as it does on a full disk."""
    await execute(
        engine,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$",
    )
    await execute(
        engine,
        f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()",
    )
    try:
        yield
    finally:
        await execute(engine, "DROP FUNCTION refuse() CASCADE")
