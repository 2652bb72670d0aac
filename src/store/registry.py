"""The durable registry: symbols, requests and the installation they belong to."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import ConfigurationError, RequestRefused
from domain.ids import MAX_NONCE, SymbolKey
from domain.instrument import Instrument
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.slots import Slot
from grid.spec import GridSpec
from ports.store import Desired, Status
from risk.reservations import PortfolioLimits, Reserving
from store.engine import transaction
from store.reservations import check_room, lock_account, market_of, note_balances
from store.rows import instrument_values, ladder_values, phase_document, slot_values
from store.specs import Specs
from store.statements import (
    ADD_ADOPTION,
    ADD_INSTRUMENT,
    ADD_SPEC,
    HELD_INVENTORY,
    RECORD_LADDER,
    RECORD_SLOT,
)

ENQUEUE = text("""
    SELECT dbos.enqueue_workflow(
        workflow_name => :name, queue_name => :queue, workflow_id => :workflow_id,
        positional_args => ARRAY[CAST(:argument AS json)],
        app_version => :app_version, application_name => :app_name)
""")

#: Read several times a second: without the grids, which would be parsed each time.
_ACTIVE = text("""
    SELECT shard, symbol_key, account, symbol, desired, status, status_reason, owner, placed_on,
           spec_version, taken_version, reconcile_asked_at, reconciled_at, starts, quarantined_at
      FROM shards WHERE status <> 'removed' ORDER BY shard
""")

_MARK = text("""
    SELECT *, requested_by = :id
           OR EXISTS (SELECT FROM specs WHERE specs.shard = shards.shard AND requested_by = :id)
           OR desired_ms = (SELECT created_at FROM dbos.workflow_status WHERE workflow_uuid = :id)
              AS is_marked
      FROM shards WHERE account = :account AND symbol = :symbol ORDER BY shard DESC LIMIT 1
""")

#: A symbol added again goes on with its epochs, which are part of the decisions' ids, and from the
#: last trade that was recorded: what a person traded in between belongs in the ledger.
_ADD_SHARD = text("""
    WITH asked AS (
        SELECT coalesce(max(created_at), 0) AS ms FROM dbos.workflow_status
         WHERE workflow_uuid = :requested_by
    )
    INSERT INTO shards (symbol_key, account, symbol, spec, spec_ms, desired, desired_ms, status,
                        start_price, phase, epoch, instrument_version, requested_by,
                        leverage, found_position, reconciled_trade_id)
    SELECT :symbol_key, :account, :symbol, CAST(:spec AS jsonb), (SELECT ms FROM asked), 'running',
           (SELECT ms FROM asked),
           'starting', :start_price, CAST(:phase AS jsonb), coalesce(max(epoch), 0),
           :instrument_version, :requested_by, :leverage,
           CASE count(*) WHEN 0 THEN CAST(:position AS numeric) ELSE 0 END,
           coalesce((array_agg(reconciled_trade_id ORDER BY shard DESC))[1], :reconciled_trade_id)
      FROM shards WHERE symbol_key = :symbol_key
    RETURNING shard
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A workflow to be put on a queue in the same transaction."""

    name: str
    queue: str
    workflow_id: str
    argument: object
    app_version: str
    app_name: str

    def values(self) -> dict[str, object]:
        return {
            "name": self.name,
            "queue": self.queue,
            "workflow_id": self.workflow_id,
            "argument": json.dumps(self.argument),
            "app_version": self.app_version,
            "app_name": self.app_name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSymbol:
    """A symbol about to be registered, with what was true at the exchange at that moment."""

    key: SymbolKey
    account: str
    symbol: str
    spec: Mapping[str, object]
    start_price: Decimal
    phase: Phase
    ladder: LadderVersion
    instrument: Instrument
    requested_by: str
    last_trade_id: str | None
    leverage: int = 1
    #: Of contracts: the net position that was there already.
    position: Decimal = Decimal(0)
    #: Of contracts: movements beside trades up to this venue time are part of the balances.
    income_ms: int = 0
    #: Free plus locked, for base and quote at least.
    balances: Mapping[str, Decimal]
    #: Slots that begin with inventory the account held already.
    adopted: Sequence[Slot] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSymbol:
    shard: int
    key: SymbolKey
    account: str
    symbol: str
    desired: Desired
    status: Status
    reason: str
    #: An operator asked for a comparison with the exchange that has not been made yet.
    awaits_reconcile: bool
    #: Of the grid that is wanted, and of the one its owner works with.
    spec_version: int = 1
    taken_version: int | None = None
    #: How many workflows ran it so far, where that was asked for.
    runs: int = 0
    #: Executor that runs it, or ran it last.
    owner: str | None = None
    #: Executor that is to run it.
    placed_on: str | None = None
    #: How often it was started since it last got through its first round.
    starts: int = 0
    #: It kept failing and waits for an operator.
    is_quarantined: bool = False


class Registry:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def specs(self) -> Specs:
        return Specs(self._engine)

    async def installation_nonce(self) -> int:
        """The nonce of this database, drawn at its first use."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("INSERT INTO installation (id, nonce) VALUES (1, :n) ON CONFLICT DO NOTHING"),
                {"n": secrets.randbelow(MAX_NONCE) + 1},
            )
            found = await connection.execute(text("SELECT nonce FROM installation"))
            return int(found.scalar_one())

    async def bind_exchange(self, exchange: str) -> None:
        """Tie this database to the exchange its orders go to.

        Raises
        ------
        ConfigurationError
            If it is tied to another one: grids of a simulation must never trade for real.
        """
        async with transaction(self._engine) as connection:
            bound = await connection.execute(
                text("""
                    UPDATE installation SET exchange = coalesce(exchange, :exchange)
                    RETURNING exchange
                """),
                {"exchange": exchange},
            )
            known = str(bound.scalar_one())
        if known != exchange:
            raise ConfigurationError(
                field="account.mode",
                rule=f"must stay what this installation trades on: {known}",
                value=exchange,
                remedy="use another data directory or database for another exchange",
            )

    async def enqueue(self, workflow: Enqueued) -> None:
        """Put a workflow on its queue; the same id again changes nothing."""
        async with transaction(self._engine) as connection:
            await connection.execute(ENQUEUE, workflow.values())

    async def add_symbol(
        self,
        new: NewSymbol,
        run: Mapping[str, str],
        run_id_prefix: str,
        limits: PortfolioLimits = PortfolioLimits(),  # noqa: B008  # frozen, and bounds nothing
    ) -> int:
        """Register a symbol, reserve its budget and start its `run_shard`, in one transaction.

        Done again by the same request it finds its own row.

        Raises
        ------
        RequestRefused
            If the symbol is registered already by another request.
        ConfigurationError
            If the account's money, or a limit on all symbols together, does not allow for it.
        """
        async with transaction(self._engine) as connection:
            await lock_account(connection, new.account)
            mine = await connection.execute(
                text("SELECT shard FROM shards WHERE requested_by = :id"),
                {"id": new.requested_by},
            )
            existing = mine.scalar_one_or_none()
            if existing is not None:
                return int(existing)
            await _refuse_registered(connection, new)
            await check_room(connection, new.account, _reserving(new), new.balances, limits)
            await note_balances(connection, new.account, new.balances)
            version = await connection.execute(
                text("""
                    SELECT coalesce(max(version), 0) + 1 FROM instruments
                     WHERE account = :account AND symbol = :symbol
                """),
                {"account": new.account, "symbol": new.symbol},
            )
            instrument_version = int(version.scalar_one())
            added = await connection.execute(
                _ADD_SHARD,
                {
                    "symbol_key": new.key,
                    "account": new.account,
                    "symbol": new.symbol,
                    "spec": json.dumps(dict(new.spec)),
                    "start_price": new.start_price,
                    "phase": phase_document(new.phase),
                    "instrument_version": instrument_version,
                    "requested_by": new.requested_by,
                    "leverage": new.leverage,
                    "position": new.position,
                    "reconciled_trade_id": new.last_trade_id,
                },
            )
            shard = added.scalar_one()
            await connection.execute(
                ADD_INSTRUMENT,
                instrument_values(new.instrument) | {"version": instrument_version},
            )
            await connection.execute(RECORD_LADDER, ladder_values(new.ladder, int(shard)))
            await connection.execute(
                ADD_SPEC,
                {
                    "shard": shard,
                    "version": 1,
                    "spec": json.dumps(dict(new.spec)),
                    "ladder_version": new.ladder.version,
                    "requested_by": new.requested_by,
                    "note": "",
                },
            )
            for slot in new.adopted:
                values = slot_values(slot, int(shard), new.instrument)
                await connection.execute(RECORD_SLOT, values)
                await connection.execute(ADD_ADOPTION, values)
            for asset, amount in new.balances.items():
                await connection.execute(
                    text("""
                        INSERT INTO opening_balances (account, asset, amount, income_ms)
                        VALUES (:account, :asset, :amount, :income_ms) ON CONFLICT DO NOTHING
                    """),
                    {
                        "account": new.account,
                        "asset": asset,
                        "amount": amount,
                        "income_ms": new.income_ms,
                    },
                )
            await connection.execute(
                ENQUEUE,
                dict(run)
                | {"workflow_id": f"{run_id_prefix}:{shard}", "argument": json.dumps(int(shard))},
            )
            return int(shard)

    async def desire(
        self, account: str, symbol: str, desired: Desired, workflow_id: str
    ) -> RegisteredSymbol | None:
        """Write down what an operator wants of a symbol; `None` if it is not registered.

        A removal is not undone; one that closes the inventory first may become a plain one.

        Requests count in the order in which they were made, whenever and however often they are
        applied: one that is applied late, or again after a crash, does not undo a newer one. Each
        lifts a quarantine: the symbol is tried again.
        """
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("""
                    UPDATE shards SET desired = :desired, desired_ms = asked.created_at,
                                      updated_at = clock_timestamp(), starts = 0,
                                      quarantined_at = NULL
                      FROM dbos.workflow_status AS asked
                     WHERE asked.workflow_uuid = :workflow_id
                       AND account = :account AND symbol = :symbol AND shards.status <> 'removed'
                       AND desired_ms <= asked.created_at
                       AND (desired NOT IN ('closed', 'removed')
                            OR :desired IN (desired, 'removed'))
                """),
                {
                    "account": account,
                    "symbol": symbol,
                    "desired": desired.value,
                    "workflow_id": workflow_id,
                },
            )
            found = await connection.execute(
                text("""
                    SELECT * FROM shards
                     WHERE account = :account AND symbol = :symbol AND status <> 'removed'
                       AND (desired NOT IN ('closed', 'removed')
                            OR :desired IN (desired, 'removed'))
                """),
                {"account": account, "symbol": symbol, "desired": desired.value},
            )
            row = found.one_or_none()
        return None if row is None else _registered(row)

    async def ask_reconcile(self, account: str, symbol: str) -> RegisteredSymbol | None:
        """Ask for a comparison with the exchange; `None` if the symbol is not registered."""
        async with transaction(self._engine) as connection:
            changed = await connection.execute(
                text("""
                    UPDATE shards SET reconcile_asked_at = clock_timestamp()
                     WHERE account = :account AND symbol = :symbol AND status <> 'removed'
                    RETURNING *
                """),
                {"account": account, "symbol": symbol},
            )
            row = changed.one_or_none()
        return None if row is None else _registered(row)

    async def mark_of(
        self, account: str, symbol: str, workflow_id: str
    ) -> tuple[RegisteredSymbol, bool] | None:
        """A symbol, and whether that request made it what it is; `None` if it was never added.

        Of what a newer request replaced only a version of the grid is left.
        """
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                _MARK, {"account": account, "symbol": symbol, "id": workflow_id}
            )
            row = found.one_or_none()
        return None if row is None else (_registered(row), bool(row.is_marked))

    async def symbol(self, shard: int) -> RegisteredSymbol:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("SELECT * FROM shards WHERE shard = :shard"), {"shard": shard}
            )
            return _registered(found.one())

    async def orphans(self) -> Sequence[RegisteredSymbol]:
        """Symbols that are not removed and that no pending `run_shard` serves."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT *, (SELECT count(*) FROM dbos.workflow_status
                                WHERE starts_with(workflow_uuid,
                                                  'run_shard:' || symbol_key || ':' || shard)
                              ) AS runs
                      FROM shards
                     WHERE status <> 'removed'
                       AND NOT EXISTS (
                           SELECT FROM dbos.workflow_status AS run
                            WHERE run.name = 'run_shard' AND run.status IN ('ENQUEUED', 'PENDING')
                              AND split_part(workflow_uuid, ':', 3) = CAST(shard AS text))
                """)
            )
            return [_registered(row) for row in found]

    async def active_symbols(self) -> Sequence[RegisteredSymbol]:
        async with transaction(self._engine) as connection:
            found = await connection.execute(_ACTIVE)
            return [_registered(row) for row in found]

    async def idle_symbols(self, node_pid: int | None = None) -> list[str]:
        """Symbols that should be running and are not run by that process, or by any that lives."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT symbol FROM shards
                     WHERE desired = 'running'
                       AND (status <> 'running' OR NOT EXISTS (
                            SELECT FROM nodes
                             WHERE executor_id = owner AND pid = coalesce(:pid, pid)
                               AND heartbeat_at > clock_timestamp() - interval '3 seconds'))
                """),
                {"pid": node_pid},
            )
            return list(found.scalars())

    async def pin(self, account: str, symbol: str, node: str | None) -> RegisteredSymbol | None:
        """Have a symbol run on the node of that name, or anywhere; `None` if it is not registered.

        Raises
        ------
        RequestRefused
            If no node of that name takes symbols.
        """
        async with transaction(self._engine) as connection:
            takes = await connection.execute(
                text("SELECT EXISTS (SELECT FROM nodes WHERE name = :node AND NOT is_draining)"),
                {"node": node},
            )
            if node is not None and not takes.scalar_one():
                raise RequestRefused(f"no node {node} takes symbols: see `gridkeeper node list`")
            changed = await connection.execute(
                text("""
                    UPDATE shards SET pinned_to = :node
                     WHERE account = :account AND symbol = :symbol AND status <> 'removed'
                    RETURNING *
                """),
                {"account": account, "symbol": symbol, "node": node},
            )
            row = changed.one_or_none()
        return None if row is None else _registered(row)

    async def held_inventory(self, account: str, base: str) -> Decimal:
        """Base that the account's symbols hold in their slots or were given to sell."""
        async with transaction(self._engine) as connection:
            held = await connection.execute(HELD_INVENTORY, {"account": account, "base": base})
            return Decimal(held.scalar_one())

    async def node_of(self, shard: int) -> str | None:
        """Name of the node that runs a shard; `None` while none does."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT name FROM shards JOIN nodes ON executor_id = owner
                     WHERE shard = :shard
                """),
                {"shard": shard},
            )
            return found.scalar_one_or_none()


async def _refuse_registered(connection: AsyncConnection, new: NewSymbol) -> None:
    """Before a shard number is drawn: there are not many of them."""
    found = await connection.execute(
        text("""
            SELECT EXISTS (SELECT FROM shards WHERE account = :account AND symbol = :symbol
                                                AND status <> 'removed')
        """),
        {"account": new.account, "symbol": new.symbol},
    )
    if found.scalar_one():
        raise already_added(new.account, new.symbol)


def already_added(account: str, symbol: str) -> RequestRefused:
    return RequestRefused(f"{symbol} is on account {account} already: remove it first")


def _reserving(new: NewSymbol) -> Reserving:
    return Reserving(
        market=market_of(new.instrument),
        spec=GridSpec.model_validate(new.spec),
        leverage=Decimal(new.leverage),
    )


def _registered(row: object) -> RegisteredSymbol:
    values = row._mapping  # type: ignore[attr-defined]  # rows are typed by their query only
    asked_at = values["reconcile_asked_at"]
    return RegisteredSymbol(
        shard=values["shard"],
        key=SymbolKey(values["symbol_key"]),
        account=values["account"],
        symbol=values["symbol"],
        desired=Desired(values["desired"]),
        status=Status(values["status"]),
        reason=values["status_reason"],
        awaits_reconcile=asked_at is not None
        and (values["reconciled_at"] is None or values["reconciled_at"] < asked_at),
        spec_version=values["spec_version"],
        taken_version=values["taken_version"],
        runs=values.get("runs", 0),
        owner=values["owner"],
        placed_on=values["placed_on"],
        starts=values["starts"],
        is_quarantined=values["quarantined_at"] is not None,
    )
