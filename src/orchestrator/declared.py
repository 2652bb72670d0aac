"""Symbols as a file declares them against those of an account: what differs, and what to ask for.

Asking is repeatable: a request is named by what it would change and into what, so that the same
file, whoever applies it again, makes the same request until that has ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, RequestRefused
from domain.ids import symbol_key
from domain.instrument import Instrument
from grid.check import SpecReport, check_spec
from grid.spec import GridSpec
from orchestrator.changes import Verb
from orchestrator.market import market_now
from orchestrator.preview import Preview, preview_of
from orchestrator.requests import Progress, Requests
from orchestrator.workflows import change_id
from ports.exchange import ExchangePort
from risk.reservations import PortfolioLimits, Reserving, check_portfolio, check_reservation
from store.reservations import Room, account_room, market_of
from store.specs import Life, Specs

#: How often one and the same request may have ended without effect and be asked for anew.
ATTEMPTS_MAX = 1000
NOTE = "as a file declares it"
_LEAVING = "it is being removed: wait until it is gone"


class Action(StrEnum):
    """What a symbol needs to be as declared, in the order in which it is done."""

    #: Runs and is not declared, which is to end it.
    REMOVE = "remove"
    UPDATE = "update"
    ADD = "add"
    UNCHANGED = "unchanged"
    #: Runs and is not declared, which is left alone.
    UNDECLARED = "undeclared"

    @property
    def is_change(self) -> bool:
        return self in _VERBS


_VERBS = {Action.REMOVE: Verb.REMOVE, Action.UPDATE: Verb.UPDATE, Action.ADD: Verb.ADD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One symbol: as it is, and as it is declared."""

    symbol: str
    action: Action
    #: Of its present life or else its last one; 0 before the first.
    shard: int = 0
    #: Version that an update takes the place of; `None` of what is not traded.
    version: int | None = None
    #: `None` of what is not declared.
    spec: GridSpec | None = None
    #: Fields that an update changes: their value now, and then.
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    #: What an update would do; `None` before the symbol's first decision.
    preview: Preview | None = None
    #: What an addition comes to; `None` where the exchange was not asked.
    check: SpecReport | None = None
    #: Why it would be refused; empty where nothing is known against it.
    problem: str = ""

    @property
    def makes_room(self) -> bool:
        """Whether it leaves others more of the account's money."""
        before, after = self.changes.get("budget_quote", (0, 0))
        return self.action is Action.REMOVE or Decimal(after) < Decimal(before)


async def compare(
    engine: AsyncEngine,
    account: str,
    wanted: Mapping[str, GridSpec],
    *,
    prunes: bool,
    limits: PortfolioLimits,
    leverage: int = 1,
    exchange: ExchangePort | None = None,
) -> tuple[Difference, ...]:
    """What differs from what is declared, in the order in which it is to be done.

    Parameters
    ----------
    prunes : bool
        Whether what is not declared is to be removed.
    leverage : int
        That additions will have, of contracts.
    exchange : ExchangePort, optional
        Judges additions, which Postgres knows nothing of, and tells the balances of the moment.
    """
    lives = {life.symbol: life for life in await Specs(engine).lives(account)}
    found = [
        await _declared(engine, account, lives.get(name), name, wanted[name]) for name in wanted
    ]
    for life in lives.values():
        if life.is_traded and not life.is_leaving and life.symbol not in wanted:
            action = Action.REMOVE if prunes else Action.UNDECLARED
            found.append(
                Difference(
                    symbol=life.symbol, action=action, shard=life.shard, version=life.version
                )
            )
    additions: dict[str, Reserving] = {}
    if exchange is not None:
        additions = _additions(wanted, await exchange.load_instruments(), leverage)
        found = [await _judged(exchange, each) for each in found]
    balances = None if exchange is None else await exchange.fetch_balances()
    present, room = await account_room(engine, account, limits, balances)
    order = list(Action)
    found.sort(key=lambda each: (order.index(each.action), _growth(each, present), each.symbol))
    return tuple(_with_room(found, present, room, additions))


async def ask_for(requests: Requests, account: str, wanted: Difference) -> str:
    """Ask for one change; the id of the workflow that does it.

    A request that is under way, or has done it, stands. One that was refused or failed is asked for
    anew: what stood against it may be gone.

    Raises
    ------
    RequestRefused
        If it was refused too often.
    """
    verb, key = _VERBS[wanted.action], symbol_key(account, wanted.symbol)
    spec = None if wanted.spec is None else wanted.spec.model_dump(mode="json")
    content = json.dumps([wanted.shard, wanted.version, spec], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    for attempt in range(ATTEMPTS_MAX):
        request_id = f"file-{digest}-{attempt}"
        known = await requests.progress(change_id(verb, key, request_id))
        if known is not None and _had_no_effect(known):
            continue
        if spec is None:
            return await requests.remove(wanted.symbol, request_id)
        if wanted.action is Action.ADD:
            return await requests.add(wanted.symbol, spec, request_id)
        return await requests.update(
            wanted.symbol, spec, request_id, note=NOTE, expected_version=wanted.version
        )
    raise RequestRefused(f"{wanted.symbol}: refused {ATTEMPTS_MAX} times: see `workflow list`")


def _had_no_effect(progress: Progress) -> bool:
    outcome = (progress.result or {}).get("outcome")
    return progress.is_finished and outcome not in {"done", "pending"}


async def _declared(
    engine: AsyncEngine, account: str, life: Life | None, symbol: str, spec: GridSpec
) -> Difference:
    """A declared symbol by what Postgres knows of it."""
    if life is None or not life.is_traded:
        shard = 0 if life is None else life.shard
        return Difference(symbol=symbol, action=Action.ADD, shard=shard, spec=spec)
    found = Difference(
        symbol=symbol,
        action=Action.UNCHANGED,
        shard=life.shard,
        version=life.version,
        spec=spec,
        problem=_LEAVING if life.is_leaving else "",
    )
    present = GridSpec.model_validate(life.spec)
    if present == spec and not life.is_leaving:
        return found
    before, after = present.model_dump(mode="json"), spec.model_dump(mode="json")
    found = replace(
        found,
        action=Action.UPDATE,
        changes={
            name: (before[name], after[name])
            for name in GridSpec.model_fields
            if getattr(present, name) != getattr(spec, name)
        },
    )
    look = await Specs(engine).look(account, symbol)
    if look is None or look.book is None:
        return found
    try:
        return replace(found, preview=preview_of(look, look.book, spec))
    except ConfigurationError as error:
        return replace(found, problem=str(error))


async def _judged(exchange: ExchangePort, found: Difference) -> Difference:
    """An addition by the market as it is now."""
    if found.action is not Action.ADD or found.spec is None:
        return found
    try:
        instrument, _, price = await market_now(exchange, found.symbol)
        return replace(found, check=check_spec(found.spec, instrument, price))
    except (ConfigurationError, RequestRefused) as error:
        return replace(found, problem=str(error))


def _growth(found: Difference, present: Mapping[str, Reserving]) -> Decimal:
    """What shrinks makes room for what grows."""
    if found.spec is None or found.symbol not in present:
        return Decimal(0)
    return found.spec.budget_quote - present[found.symbol].spec.budget_quote


def _additions(
    wanted: Mapping[str, GridSpec], markets: Mapping[str, Instrument], leverage: int
) -> dict[str, Reserving]:
    """What each symbol would reserve if it were added."""
    return {
        symbol: Reserving(market=market_of(markets[symbol]), spec=spec, leverage=Decimal(leverage))
        for symbol, spec in wanted.items()
        if symbol in markets
    }


def _with_room(
    found: Sequence[Difference],
    present: Mapping[str, Reserving],
    room: Room,
    additions: Mapping[str, Reserving],
) -> list[Difference]:
    """Each with what the account's money says to it, when all before it are done."""
    there, judged = dict(present), []
    for each in found:
        before = there.pop(each.symbol, None) if each.action.is_change else None
        wanted = _reserving(each, before, additions)
        problem = each.problem
        if wanted is not None:
            others = list(there.values())
            there[each.symbol] = wanted
            problem = problem or _refusal(wanted, others, room, before)
        judged.append(replace(each, problem=problem))
    return judged


def _reserving(
    found: Difference, before: Reserving | None, additions: Mapping[str, Reserving]
) -> Reserving | None:
    """What a symbol will reserve; `None` if nothing, or if its market is not known."""
    if found.spec is None or not found.action.is_change:
        return None
    if before is not None:
        return replace(before, spec=found.spec)
    return additions.get(found.symbol)


def _refusal(
    wanted: Reserving, others: Sequence[Reserving], room: Room, before: Reserving | None
) -> str:
    try:
        check_portfolio(wanted, others, room.limits, before)
        if room.balances:
            check_reservation(wanted, others, room.balances, before)
    except ConfigurationError as error:
        return str(error)
    return ""
