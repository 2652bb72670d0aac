"""The specs of symbols, version by version, and a symbol as it stands for who only looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import ConfigurationError, RequestRefused
from domain.instrument import Rounding
from domain.market import BookTop
from grid.edits import Edit, Standing
from grid.spec import GridSpec
from ports.store import Claim, Desired, Loaded
from risk.reservations import PortfolioLimits
from store.engine import transaction
from store.repository import claim_of, load_shard
from store.reservations import Room, check_room_for_spec, known_balances, lock_account
from store.rows import AnyRow, ladder_of, ladder_values, phase_document, phase_of
from store.statements import ADD_SPEC, LADDERS, RECORD_LADDER

#: Most characters of a note.
NOTE_MAX = 500

#: What may get another spec: neither removed nor on its way there.
_TRADED = """
     WHERE account = :account AND symbol = :symbol AND status <> 'removed'
       AND desired NOT IN ('removed', 'closed')
"""
_LOCK = text(f"SELECT * FROM shards {_TRADED} FOR UPDATE")  # noqa: S608  # nosec B608  # both are above
_LOOK = text(f"""
    SELECT *, (SELECT nonce FROM installation) AS nonce,
           EXISTS (SELECT FROM kill_switch WHERE engaged) AS is_killed
      FROM shards {_TRADED}
""")  # noqa: S608  # nosec B608  # both parts are above

_LIVES = text("""
    SELECT DISTINCT ON (symbol) shard, symbol, spec, spec_version AS version,
           status <> 'removed' AS is_traded, desired IN ('removed', 'closed') AS is_leaving
      FROM shards WHERE account = :account
     ORDER BY symbol, shard DESC
""")
_ASKED_MS = text("SELECT created_at FROM dbos.workflow_status WHERE workflow_uuid = :id")
_MADE_BY = text("SELECT shard, version, ladder_version FROM specs WHERE requested_by = :id")
_VERSION = text("SELECT spec FROM specs WHERE shard = :shard AND version = :version")
#: Ladders whose levels something still hangs on.
_TAKEN = text("""
    SELECT ladder_version FROM slots WHERE shard = :shard AND (inventory <> 0 OR closed <> 0)
     UNION
    SELECT ladder_version FROM orders WHERE shard = :shard AND NOT is_settled
""")
_UPDATE = text("""
    UPDATE shards
       SET spec = CAST(:spec AS jsonb), spec_version = :version, spec_ms = :asked_ms,
           start_price = :start_price, phase = CAST(:phase AS jsonb), starts = 0,
           quarantined_at = NULL, updated_at = clock_timestamp()
     WHERE shard = :shard
""")
_LAST_BOOK = text("""
    SELECT bid, ask, exchange_ms FROM decisions
     WHERE shard = :shard AND coalesce(bid, ask) IS NOT NULL
     ORDER BY decided_at DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRequest:
    """Another spec for a symbol, as it was asked for."""

    account: str
    symbol: str
    note: str
    #: Version that the request was made for; any if not given.
    expected_version: int | None
    workflow_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVersion:
    shard: int
    version: int
    #: Of the ladder that takes entries since.
    ladder_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A symbol from when it was added to when it is gone; its last one."""

    shard: int
    symbol: str
    spec: Mapping[str, Any]
    version: int
    is_traded: bool
    #: An operator wants it to end.
    is_leaving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A symbol as Postgres knows it, read without claiming it."""

    claim: Claim
    loaded: Loaded
    standing: Standing
    desired: Desired
    #: By the kill switch.
    is_killed: bool
    #: As the last decision saw it; `None` before the first.
    book: BookTop | None


class Specs:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def look(self, account: str, symbol: str) -> Look | None:
        """The symbol as it is now; `None` if it is not traded."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(_LOOK, {"account": account, "symbol": symbol})
            row = found.one_or_none()
            if row is None:
                return None
            claim = await claim_of(connection, row)
            loaded = await load_shard(connection, claim)
            seen = await connection.execute(_LAST_BOOK, {"shard": row.shard})
            return Look(
                claim=claim,
                loaded=loaded,
                standing=await _standing(connection, row),
                desired=Desired(row.desired),
                is_killed=row.is_killed,
                book=_book(seen.one_or_none(), claim),
            )

    async def lives(self, account: str) -> tuple[Life, ...]:
        """Every symbol that the account has or had, by name."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(_LIVES, {"account": account})
            return tuple(Life(**row._asdict()) for row in found)

    async def spec(self, shard: int, version: int) -> GridSpec | None:
        """What a symbol's grid was in some version; `None` if there is no such version."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(_VERSION, {"shard": shard, "version": version})
            document = found.scalar_one_or_none()
        return None if document is None else GridSpec.model_validate(document)

    async def check_room(
        self, account: str, symbol: str, spec: GridSpec, limits: PortfolioLimits
    ) -> None:
        """Judge a spec by the balances that the exchange told last; if it never did, not at all.

        Raises
        ------
        ConfigurationError
            If `update` would be refused for the account's money.
        """
        async with transaction(self._engine) as connection:
            balances = await known_balances(connection, account)
            if balances:
                room = Room(balances=balances, limits=limits)
                await check_room_for_spec(connection, account, symbol, spec, room)

    async def update(
        self, asked: SpecRequest, edit: Callable[[Standing], Edit], room: Room
    ) -> MadeVersion:
        """Make a new version the current one and reserve its budget, in one transaction.

        Done again by the same request it finds its own version.

        Parameters
        ----------
        edit : callable of the grid as it stands
            Decides while nobody else can change the grid; what it raises undoes everything.

        Raises
        ------
        RequestRefused
            If the symbol is not traded, or a version was made since that the request did not know:
            requests count in the order in which they were made.
        ConfigurationError
            If the account's money, or a limit on all symbols together, does not allow for it.
        """
        async with transaction(self._engine) as connection:
            await lock_account(connection, asked.account)
            mine = await connection.execute(_MADE_BY, {"id": asked.workflow_id})
            made = mine.one_or_none()
            if made is not None:
                return MadeVersion(**made._asdict())
            locked = await connection.execute(
                _LOCK, {"account": asked.account, "symbol": asked.symbol}
            )
            row = locked.one_or_none()
            if row is None:
                raise not_traded(asked.account, asked.symbol)
            found = await connection.execute(_ASKED_MS, {"id": asked.workflow_id})
            asked_ms = found.scalar_one_or_none() or 0
            _check_order(asked, asked_ms, row)
            edited = edit(await _standing(connection, row))
            await check_room_for_spec(connection, asked.account, asked.symbol, edited.spec, room)
            version = row.spec_version + 1
            ladder_version = edited.ladder.version if edited.ladder else row.ladder_version
            spec = edited.spec.model_dump_json()
            await connection.execute(
                ADD_SPEC,
                {
                    "shard": row.shard,
                    "version": version,
                    "spec": spec,
                    "ladder_version": ladder_version,
                    "requested_by": asked.workflow_id,
                    "note": asked.note,
                },
            )
            if edited.ladder:
                await connection.execute(RECORD_LADDER, ladder_values(edited.ladder, row.shard))
            await connection.execute(
                _UPDATE,
                {
                    "shard": row.shard,
                    "spec": spec,
                    "version": version,
                    "asked_ms": asked_ms,
                    "start_price": edited.start_price,
                    "phase": phase_document(edited.phase),
                },
            )
            return MadeVersion(shard=row.shard, version=version, ladder_version=ladder_version)


def not_traded(account: str, symbol: str) -> RequestRefused:
    return RequestRefused(f"{symbol} is not on account {account}, or is being removed")


def check_version(symbol: str, current: int, expected: int | None) -> None:
    """Refuse what was derived from another version than the current one."""
    if expected not in {None, current}:
        raise ConfigurationError(
            field="expected_version",
            rule=f"must be the current one of {symbol}, {current}",
            value=expected,
            remedy="look at the current grid and ask again",
        )


def _check_order(asked: SpecRequest, asked_ms: int, row: AnyRow) -> None:
    if row.spec_ms > asked_ms:
        raise RequestRefused(
            f"version {row.spec_version} of {asked.symbol} was asked for after this one: it stands"
        )
    check_version(asked.symbol, row.spec_version, asked.expected_version)


async def _standing(connection: AsyncConnection, row: AnyRow) -> Standing:
    shard = {"shard": row.shard}
    taken = await connection.execute(_TAKEN, shard)
    ladders = await connection.execute(LADDERS, shard | {"current": row.ladder_version})
    *_, current = ladders
    return Standing(
        spec=GridSpec.model_validate(row.spec),
        ladder=ladder_of(current),
        taken=frozenset(taken.scalars()),
        phase=phase_of(row.phase),
        start_price=row.start_price,
    )


def _book(row: AnyRow | None, claim: Claim) -> BookTop | None:
    if row is None:
        return None
    to_ticks = claim.instrument.price_to_ticks
    return BookTop(
        bid_ticks=None if row.bid is None else to_ticks(row.bid, Rounding.FLOOR),
        ask_ticks=None if row.ask is None else to_ticks(row.ask, Rounding.CEIL),
        exchange_ms=row.exchange_ms or 0,
    )
