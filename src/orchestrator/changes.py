"""What `apply_change` does for each verb: check, write the wish down, wait until it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from pydantic import ValidationError

from domain.errors import (
    ConfigurationError,
    OutcomeUnknown,
    RequestGivenUp,
    RequestRefused,
    TransientVenueError,
    VenueError,
)
from domain.ids import SymbolKey, symbol_key
from domain.instrument import Instrument, MarketKind
from grid.check import check_spec
from grid.ladder import LadderVersion
from grid.phase import first_phase
from grid.spec import GridSpec
from orchestrator.adoption import Adoption, find_adoption, slots_of
from orchestrator.documents import instrument_document, instrument_of, refused, report_document
from orchestrator.edits import Edits
from orchestrator.market import market_now
from orchestrator.opening import Opening, read_opening, refuse_position
from orchestrator.rows import KillSwitchRow, SymbolRows
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    RUN_SHARD,
    SHARDS_QUEUE,
    Document,
)
from ports.exchange import ExchangePort
from ports.failpoints import Failpoint, Failpoints
from ports.store import Desired, Status
from risk.reservations import PortfolioLimits
from store.engine import until_store_answers
from store.registry import NewSymbol, RegisteredSymbol, already_added

#: How long a change is waited for before its result says that it is still going on.
CONVERGE_S = 60.0
POLL_S = 0.1
#: How long an add waits for an exchange that does not answer, or for a rate budget that many adds
#: at once use up, before it is refused; while Postgres answers.
VENUE_PATIENCE_S = 300.0
VENUE_RETRY_S = 1.0

T = TypeVar("T")


class Verb(StrEnum):
    """What can be asked for."""

    ADD = "add"
    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"
    UPDATE = "update"
    REVERT = "revert"
    RECONCILE = "reconcile"
    MOVE = "move"
    KILL = "kill"
    REARM = "rearm"


_DESIRED = {
    Verb.ADD: Desired.RUNNING,
    Verb.PAUSE: Desired.PAUSED,
    Verb.RESUME: Desired.RUNNING,
    Verb.REMOVE: Desired.REMOVED,
}
_REACHED = {
    Verb.ADD: {Status.RUNNING, Status.WAITING, Status.STOPPED},
    Verb.PAUSE: {Status.PAUSED, Status.CLOSING, Status.STOPPED},
    Verb.RESUME: {Status.RUNNING, Status.WAITING, Status.CLOSING, Status.STOPPED},
    Verb.REMOVE: {Status.REMOVED},
}


class Changes:
    """The three steps of `apply_change`; a crash may run each again, and nothing is done twice."""

    def __init__(
        self,
        registry: SymbolRows,
        kill_switch: KillSwitchRow,
        exchange: ExchangePort,
        failpoints: Failpoints,
        limits: PortfolioLimits = PortfolioLimits(),  # noqa: B008  # frozen, and bounds nothing
    ) -> None:
        self._registry = registry
        self._kill_switch = kill_switch
        self._exchange = exchange
        self._failpoints = failpoints
        #: Replaced where an operator changes them while the node runs.
        self.limits = limits
        self._edits = Edits(registry.specs, exchange)

    async def prepare(self, change: Document) -> Document:
        """Everything that can refuse a request by its meaning; no effect yet."""
        match Verb(change["verb"]):
            case Verb.ADD:
                look_at = self._prepare_add
            case Verb.UPDATE | Verb.REVERT:
                look_at = self._edits.prepare
            case _:
                return {"outcome": "prepared"}
        try:
            return await until_store_answers(lambda: until_venue_answers(lambda: look_at(change)))
        except (ConfigurationError, RequestRefused, VenueError) as error:
            return refused(str(error))
        except ValidationError as error:
            return refused(describe_invalid(error))

    async def record(self, change: Document, prepared: Document, workflow_id: str) -> Document:
        """Write the wish down, in one transaction."""
        self._failpoints(Failpoint.CHANGE_BEFORE_RECORD)
        try:
            recorded = await until_store_answers(
                lambda: self._record(change, prepared, workflow_id)
            )
        except (ConfigurationError, RequestRefused) as error:
            return refused(str(error))
        self._failpoints(Failpoint.CHANGE_AFTER_RECORD)
        return recorded

    async def converge(self, change: Document, recorded: Document) -> Document:
        """Wait until what is wished for is so; what is not by then goes on by itself."""
        verb = Verb(change["verb"])
        if verb is Verb.KILL:
            result = await _eventually(self._killed)
        elif verb is Verb.REARM:
            engaged = await until_store_answers(self._kill_switch.is_engaged)
            result = {"outcome": "refused" if engaged else "done"}
            if engaged:
                result["reason"] = "the kill switch was thrown again since"
        elif verb is Verb.MOVE:
            shard, node = int(recorded["shard"]), change["node"]
            result = await _eventually(lambda: self._moved(shard, node))
        else:
            shard, version = int(recorded["shard"]), int(recorded.get("version", 0))
            result = await _eventually(lambda: self._reached(verb, shard, version))
        self._failpoints(Failpoint.CHANGE_BEFORE_RESULT)
        return recorded | result

    async def give_up(self, change: Document, workflow_id: str, starts: int) -> Document:
        """End a request that ended with its process each time, with what stands of it.

        Raises
        ------
        RequestGivenUp
            Always.
        """
        if "symbol" in change:
            standing = await self._standing(change, workflow_id)
        else:
            engaged = await until_store_answers(self._kill_switch.is_engaged)
            standing = f"the kill switch is {'engaged' if engaged else 'not engaged'}"
        raise RequestGivenUp(
            f"given up after {starts} starts, each of which ended with its process: {standing};"
            " see the log of the nodes, and ask again under a new request id"
        )

    async def leave(self, recorded: Document, starts: int) -> Document:
        """No longer wait for what is written down and goes on by itself."""
        reason = f"not waited for any more after {starts} starts, each ended with its process"
        return recorded | {"outcome": "pending", "reason": reason}

    async def _standing(self, change: Document, workflow_id: str) -> str:
        """A symbol as it is, and whether a request left its mark on it."""
        symbol = str(change["symbol"])
        found = await until_store_answers(
            lambda: self._registry.mark_of(str(change["account"]), symbol, workflow_id)
        )
        if found is None:
            return f"nothing of it was written down, and {symbol} was never added"
        seen, is_marked = found
        reason = f" ({seen.reason})" if seen.reason else ""
        state = f"{symbol} is {seen.status}{reason}, wanted {seen.desired}"
        state += f", with version {seen.spec_version} of its grid"
        if Verb(change["verb"]) in {Verb.RECONCILE, Verb.MOVE}:
            return state  # they leave no mark, and do no harm twice
        written = (
            "it was written down and stands" if is_marked else "nothing of it was written down"
        )
        return f"{written}: {state}"

    async def _prepare_add(self, change: Document) -> Document:
        spec = GridSpec.model_validate(change["spec"])
        account, symbol = str(change["account"]), str(change["symbol"])
        for seen in await self._registry.active_symbols():
            if (seen.account, seen.symbol) == (account, symbol):
                raise already_added(account, symbol)
        instrument, _, price = await market_now(self._exchange, symbol)
        report = check_spec(spec, instrument, price)
        opening = await read_opening(self._exchange, instrument)
        adoption = await self._adoption(change, instrument, spec, price, opening)
        leverage = await self._exchange.prepare_symbol(symbol)
        return {
            "outcome": "prepared",
            "price": str(price),
            "spec": spec.model_dump(mode="json"),
            "instrument": instrument_document(instrument),
            "balances": {asset: str(amount) for asset, amount in opening.balances.items()},
            "last_trade_id": opening.last_trade_id,
            "position": str(opening.position),
            "income_ms": opening.income_ms,
            "leverage": leverage,
            "check": report_document(report),
            "adoption": adoption and adoption.document(),
        }

    async def _adoption(
        self,
        change: Document,
        instrument: Instrument,
        spec: GridSpec,
        price: Decimal,
        opening: Opening,
    ) -> Adoption | None:
        """What the symbol is to take over, if that was asked for."""
        asked = change.get("adopt")
        if asked is None:
            refuse_position(instrument.symbol, opening.position)
            return None
        free = opening.position
        if instrument.kind is MarketKind.SPOT:
            held = await self._registry.held_inventory(instrument.account, instrument.base)
            free = opening.balances[instrument.base] - held
        return await find_adoption(
            self._exchange,
            instrument,
            spec,
            price,
            free=free,
            quantity=None if asked["quantity"] is None else Decimal(asked["quantity"]),
        )

    async def _record(self, change: Document, prepared: Document, workflow_id: str) -> Document:
        verb = Verb(change["verb"])
        if verb is Verb.KILL:
            # It took effect when it was asked for; doing it again might undo a later re-arm.
            return {"outcome": "recorded"}
        if verb is Verb.REARM:
            await self._kill_switch.rearm(reason=str(change["reason"]), workflow_id=workflow_id)
            return {"outcome": "recorded"}
        account, symbol = str(change["account"]), str(change["symbol"])
        key = symbol_key(account, symbol)
        if verb is Verb.ADD:
            shard = await self._registry.add_symbol(
                _new_symbol(key, change, prepared, workflow_id),
                run={
                    "name": RUN_SHARD,
                    "queue": SHARDS_QUEUE,
                    "app_version": APPLICATION_VERSION,
                    "app_name": APPLICATION_NAME,
                },
                run_id_prefix=f"{RUN_SHARD}:{key}",
                limits=self.limits,
            )
            return {
                "outcome": "recorded",
                "symbol": symbol,
                "shard": shard,
                "check": prepared["check"],
                "adoption": prepared.get("adoption"),
            }
        if verb in {Verb.UPDATE, Verb.REVERT}:
            return await self._edits.record(change, prepared, workflow_id, self.limits)
        match verb:
            case Verb.RECONCILE:
                registered = await self._registry.ask_reconcile(account, symbol)
            case Verb.MOVE:
                registered = await self._registry.pin(account, symbol, change["node"])
            case _:
                registered = await self._registry.desire(
                    account, symbol, _desired(verb, change), workflow_id
                )
        if registered is None:
            registered = await self._removed_by(account, symbol, workflow_id)
        if registered is None:
            raise RequestRefused(f"{symbol} is not on account {account}, or is being removed")
        return {"outcome": "recorded", "symbol": symbol, "shard": registered.shard}

    async def _removed_by(
        self, account: str, symbol: str, workflow_id: str
    ) -> RegisteredSymbol | None:
        """A symbol that is gone since this request was written down, by a process that ended."""
        found = await self._registry.mark_of(account, symbol, workflow_id)
        return found[0] if found is not None and found[1] else None

    async def _reached(self, verb: Verb, shard: int, version: int) -> Document:
        seen: RegisteredSymbol = await self._registry.symbol(shard)
        match verb:
            case Verb.RECONCILE:
                reached = not seen.awaits_reconcile
            case Verb.UPDATE | Verb.REVERT:
                is_taken = seen.taken_version is not None and seen.taken_version >= version
                reached = is_taken and seen.status is not Status.STARTING
            case _:
                reached = seen.status in _REACHED[verb]
        done = reached or seen.status is Status.REMOVED
        return {
            "outcome": "done" if done else "pending",
            "status": seen.status.value,
            "reason": seen.reason,
        }

    async def _moved(self, shard: int, node: str | None) -> Document:
        runs_on = await self._registry.node_of(shard)
        done = runs_on is not None and node in {None, runs_on}
        return {"outcome": "done" if done else "pending", "node": runs_on}

    async def _killed(self) -> Document:
        left = await self._kill_switch.live_order_count()
        return {"outcome": "pending" if left else "done", "live_orders": left}


def _desired(verb: Verb, change: Document) -> Desired:
    return Desired.CLOSED if change.get("close") else _DESIRED[verb]


def describe_invalid(error: ValidationError) -> str:
    """Each broken rule with its field and value, in one line."""
    return "; ".join(
        f"`{'.'.join(str(part) for part in item['loc'])}` {item['msg']}, was {item['input']!r:.60}"
        for item in error.errors()
    )


async def until_venue_answers(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again for a while when the exchange does not answer or trades too fast to look at."""
    deadline = asyncio.get_running_loop().time() + VENUE_PATIENCE_S
    while True:
        try:
            return await ask()
        except (TransientVenueError, OutcomeUnknown):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(VENUE_RETRY_S)


async def _eventually(look: Callable[[], Awaitable[Document]]) -> Document:
    deadline = asyncio.get_running_loop().time() + CONVERGE_S
    while True:
        seen = await until_store_answers(look)
        if seen["outcome"] != "pending" or asyncio.get_running_loop().time() > deadline:
            return seen
        await asyncio.sleep(POLL_S)


def _new_symbol(
    key: SymbolKey, change: Document, prepared: Document, workflow_id: str
) -> NewSymbol:
    spec = GridSpec.model_validate(prepared["spec"])
    price = Decimal(prepared["price"])
    start = spec.trigger_price or price
    instrument = instrument_of(prepared["instrument"])
    ladder = LadderVersion.first(spec, instrument, start)
    adoption = prepared.get("adoption")
    return NewSymbol(
        key=key,
        account=str(change["account"]),
        symbol=str(change["symbol"]),
        spec=prepared["spec"],
        start_price=start,
        phase=first_phase(spec.trigger_price, price),
        ladder=ladder,
        instrument=instrument,
        requested_by=workflow_id,
        last_trade_id=prepared["last_trade_id"],
        leverage=prepared["leverage"],
        position=Decimal(prepared["position"]),
        income_ms=prepared["income_ms"],
        balances={asset: Decimal(amount) for asset, amount in prepared["balances"].items()},
        adopted=slots_of(adoption, ladder.version, instrument) if adoption else (),
    )
