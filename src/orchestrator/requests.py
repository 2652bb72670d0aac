"""What the CLI and the API call: check a request's form, then enqueue it durably.

An enqueued request is kept and served even if no node runs now, or the node dies at once. Asking
again with the same request id is the same request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, RequestGivenUp, StoreUnavailable
from domain.ids import symbol_key
from grid.spec import GridSpec
from orchestrator.changes import Verb, describe_invalid
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    APPLY_CHANGE,
    CHANGES_QUEUE,
    Document,
    change_id,
)
from store.engine import transaction
from store.kill_switch import KillSwitch
from store.registry import Enqueued, Registry
from store.specs import NOTE_MAX

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class AdoptRequest:
    #: In base; all that is free if not given.
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A request as Postgres knows it."""

    workflow_id: str
    #: DBOS's word: ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED.
    status: str
    #: What `apply_change` returned; `None` until it has.
    result: Document | None

    @property
    def is_finished(self) -> bool:
        return self.status not in {"ENQUEUED", "PENDING", "DELAYED"}


class Requests:
    """Durable requests against one database."""

    def __init__(self, engine: AsyncEngine, account: str) -> None:
        self._engine = engine
        self._registry = Registry(engine)
        self._kill_switch = KillSwitch(engine)
        self._account = account

    async def add(
        self,
        symbol: str,
        spec: Mapping[str, object],
        request_id: str,
        *,
        adopt: AdoptRequest | None = None,
    ) -> str:
        """Ask for a symbol to be traded; the id of the workflow that does it.

        Parameters
        ----------
        adopt : AdoptRequest, optional
            Let its slots begin with base that the account holds and no symbol does.

        Raises
        ------
        ConfigurationError
            If the symbol, the spec or the request id is not well formed. Refusals by meaning, such
            as an unknown market, are the workflow's result.
        """
        extra: Document = {"spec": checked_spec(spec)}
        if adopt is not None:
            quantity = None if adopt.quantity is None else str(adopt.quantity)
            extra["adopt"] = {"quantity": quantity}
        return await self._ask(Verb.ADD, symbol, request_id, extra)

    async def update(
        self,
        symbol: str,
        spec: Mapping[str, object],
        request_id: str,
        *,
        note: str = "",
        expected_version: int | None = None,
    ) -> str:
        """Ask for another grid for a symbol that is traded.

        Parameters
        ----------
        expected_version : int, optional
            Version that the new one was derived from: any other by then refuses the request.

        Raises
        ------
        ConfigurationError
            As `add` does.
        """
        changes: Document = {"spec": checked_spec(spec), "note": checked_note(note)}
        if expected_version is not None:
            changes["expected_version"] = expected_version
        return await self._ask(Verb.UPDATE, symbol, request_id, changes)

    async def revert(self, symbol: str, version: int, request_id: str, *, note: str = "") -> str:
        """Ask for the grid of an earlier version again, as a new version."""
        changes = {"to": version, "note": checked_note(note) or f"as version {version}"}
        return await self._ask(Verb.REVERT, symbol, request_id, changes)

    async def pause(self, symbol: str, request_id: str) -> str:
        """Ask for no more entries; live entries are cancelled and exits go on."""
        return await self._ask(Verb.PAUSE, symbol, request_id, {})

    async def resume(self, symbol: str, request_id: str) -> str:
        return await self._ask(Verb.RESUME, symbol, request_id, {})

    async def remove(self, symbol: str, request_id: str, *, close: bool = False) -> str:
        """Ask for all its orders to be cancelled and its trading to end.

        Inventory is kept, unless it is to be closed first.
        """
        return await self._ask(Verb.REMOVE, symbol, request_id, {"close": True} if close else {})

    async def reconcile(self, symbol: str, request_id: str) -> str:
        """Ask for a comparison with the exchange now, not only at the next full minute."""
        return await self._ask(Verb.RECONCILE, symbol, request_id, {})

    async def move(self, symbol: str, node: str | None, request_id: str) -> str:
        """Ask for a symbol to run on the node of that name, or on any; its orders rest on."""
        return await self._ask(Verb.MOVE, symbol, request_id, {"node": node})

    async def kill(self, reason: str, request_id: str) -> str:
        """Stop everything: effective with this call, confirmed by the workflow's result."""
        workflow_id = self._id(Verb.KILL, "all", request_id)
        await self._kill_switch.engage(reason=reason, request_id=workflow_id)
        try:
            return await self._enqueue(workflow_id, {"verb": Verb.KILL.value, "reason": reason})
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"the kill switch is engaged, and nothing will tell when all is cancelled: {error}"
            ) from error

    async def rearm(self, reason: str, request_id: str) -> str:
        """Allow orders again; a reason is mandatory."""
        if not reason.strip():
            raise ConfigurationError(
                field="reason",
                rule="must say why trading may go on",
                value=repr(reason),
                remedy="give it with --reason",
            )
        workflow_id = self._id(Verb.REARM, "all", request_id)
        return await self._enqueue(workflow_id, {"verb": Verb.REARM.value, "reason": reason})

    async def progress(self, workflow_id: str) -> Progress | None:
        """How far a request is; `None` if there is no such request."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT status, coalesce(o.output, s.output) AS output,
                           coalesce(o.error, s.error) AS error
                      FROM dbos.workflow_status s
                      LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
                     WHERE workflow_uuid = :id
                """),
                {"id": workflow_id},
            )
            row = found.one_or_none()
        if row is None:
            return None
        return Progress(workflow_id, row.status, _result(row.output, row.error))

    async def wait(self, workflow_id: str, timeout_s: float) -> Progress:
        """Poll until the request is finished; after `timeout_s` what is known then.

        Raises
        ------
        ConfigurationError
            If there is no such request.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            progress = await self.progress(workflow_id)
            if progress is None:
                raise ConfigurationError(
                    field="workflow id",
                    rule="must be a request's",
                    value=repr(workflow_id),
                    remedy="see `gridkeeper workflow list`",
                )
            if progress.is_finished or asyncio.get_running_loop().time() > deadline:
                return progress
            await asyncio.sleep(_POLL_S)

    async def _ask(
        self, verb: Verb, symbol: str, request_id: str, extra: Mapping[str, object]
    ) -> str:
        key = symbol_key(self._account, symbol)
        return await self._enqueue(
            self._id(verb, key, request_id),
            {"verb": verb.value, "account": self._account, "symbol": symbol, **extra},
        )

    async def _enqueue(self, workflow_id: str, change: Document) -> str:
        await self._registry.enqueue(
            Enqueued(
                name=APPLY_CHANGE,
                queue=CHANGES_QUEUE,
                workflow_id=workflow_id,
                argument=change,
                app_version=APPLICATION_VERSION,
                app_name=APPLICATION_NAME,
            )
        )
        await self._refuse_reused_id(workflow_id, change)
        return workflow_id

    async def _refuse_reused_id(self, workflow_id: str, change: Document) -> None:
        """A request id names one request: with other contents it is a mistake, not a repetition."""
        async with transaction(self._engine) as connection:
            kept = await connection.execute(
                text("SELECT inputs FROM dbos.workflow_input WHERE workflow_uuid = :id"),
                {"id": workflow_id},
            )
            first = json.loads(kept.scalar_one())["positionalArgs"][0]
        if first != change:
            raise ConfigurationError(
                field="request id",
                rule="must belong to one request",
                value=repr(workflow_id),
                remedy="use a fresh id: this one asked for something else, which stands",
            )

    def _id(self, verb: Verb, key: str, request_id: str) -> str:
        if not _REQUEST_ID.fullmatch(request_id):
            raise ConfigurationError(
                field="request id",
                rule="must be 1 to 64 letters, digits, - and _",
                value=repr(request_id[:80]),
                remedy="use a uuid",
            )
        return change_id(verb, key, request_id)


def checked_spec(spec: Mapping[str, object]) -> Document:
    """A grid's document with all its fields, or an error that names what is wrong with its form."""
    try:
        return GridSpec.model_validate(spec).model_dump(mode="json")
    except ValidationError as error:
        raise ConfigurationError(
            field="spec",
            rule="must be a valid grid",
            value=describe_invalid(error),
            remedy="see `gridkeeper symbol add --help`",
        ) from None


def checked_note(note: str) -> str:
    if len(note) > NOTE_MAX:
        raise ConfigurationError(
            field="note",
            rule=f"must have at most {NOTE_MAX} characters",
            value=len(note),
            remedy="say it in fewer words",
        )
    return note


def _failure(error: str) -> Document:
    """What a workflow ended with; programs of other versions may have written it otherwise."""
    try:
        told = json.loads(error)
    except json.JSONDecodeError:
        told = None
    if isinstance(told, dict) and told.get("name") == RequestGivenUp.__name__:
        return {"outcome": "given up", "reason": told["message"]}
    return {"outcome": "failed", "reason": error}


def _result(output: str | None, error: str | None) -> Document | None:
    if error is not None:
        return _failure(error)
    if output is None:
        return None
    document: Document = json.loads(output)
    return document
