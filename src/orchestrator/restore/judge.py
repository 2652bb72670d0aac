"""From what the exchange tells and the operator declares to symbols; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.ids import MAX_SHARD, OrderTag, Purpose
from domain.instrument import MarketKind
from grid.grid import Grid
from grid.rebuild import Gap, Rebuilt, TaggedOrder, contradiction, misfit, rebuild
from grid.spec import GridSpec
from orchestrator.restore.judgement import Restoration, SymbolRestoration
from orchestrator.restore.ladders import find_ladders, find_phase, find_start
from orchestrator.restore.survey import AccountSurvey, SymbolSurvey
from ports.store import Desired

#: Symbols that are not declared may have had higher numbers, and nobody asks for their orders: so
#: many numbers are passed over, lest an id come twice.
UNDECLARED_SHARDS = 1_000
#: Gaps that are told one by one.
_GAPS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator declares: the exchange does not know a grid's spec."""

    symbols: Mapping[str, GridSpec]
    #: Which installation; needed only where orders of several are told.
    nonce: int | None = None
    #: Venue time before which orders and trades are left out, but for the ids they used.
    since_ms: int | None = None


def judge(seen: AccountSurvey, wanted: Wanted) -> Restoration:
    """What a restoration would make of it, and what speaks against that."""
    installations = Counter(
        tag.nonce for told in seen.symbols.values() for _, tag in told.orders if tag is not None
    )
    nonce = wanted.nonce
    if nonce is None and len(installations) == 1:
        (nonce,) = installations
    if nonce is None or nonce not in installations:
        return Restoration(
            installations=installations, problems=(_which(installations, wanted.nonce),)
        )
    symbols: list[SymbolRestoration] = []
    untraded: list[str] = []
    problems = _strangers(seen, nonce)
    for symbol, spec in wanted.symbols.items():
        told = seen.symbols[symbol]
        orders = [
            TaggedOrder(tag=tag, record=record)
            for record, tag in told.orders
            if tag is not None and tag.nonce == nonce
        ]
        if not orders:
            untraded.append(symbol)
            continue
        try:
            restored = _restore(symbol, spec, told, orders, wanted.since_ms)
        except ConfigurationError as error:
            problems.append(f"{symbol}: {error}")
            continue
        symbols.append(restored)
        problems += [f"{symbol}: {problem}" for problem in _objections(restored, orders)]
    problems += _twice(symbols) + _shortfalls(seen, symbols)
    tags = _tags(seen, nonce)
    return Restoration(
        nonce=nonce,
        installations=installations,
        symbols=tuple(symbols),
        untraded=tuple(untraded),
        since_ms=wanted.since_ms,
        last_shard=min(max(tag.shard for tag in tags) + UNDECLARED_SHARDS, MAX_SHARD),
        problems=tuple(problems),
    )


def _restore(
    symbol: str,
    spec: GridSpec,
    told: SymbolSurvey,
    orders: Sequence[TaggedOrder],
    since_ms: int | None,
) -> SymbolRestoration:
    instrument = told.instrument
    shard = max(order.tag.shard for order in orders)
    own = [order for order in orders if order.tag.shard == shard]
    fits = find_ladders(own, spec, instrument)
    start = find_start(own, spec, instrument, fits[-1].ladder)
    phase = find_phase(own, spec, instrument, fits[-1].ladder)
    grid = Grid.of(spec, instrument, [fit.ladder for fit in fits], start).shifted(phase.shift)
    rebuilt = rebuild(grid, own, told.trades, since_ms=since_ms)
    is_over = own[-1].tag.purpose in {Purpose.FLATTEN, Purpose.STOP}
    return SymbolRestoration(
        symbol=symbol,
        shard=shard,
        spec=spec,
        grid=grid,
        ladders=tuple((fit.ladder, fit.since_ms) for fit in fits),
        fits=fits,
        start_price=start,
        phase=phase,
        desired=Desired.PAUSED if is_over else Desired.RUNNING,
        rebuilt=rebuilt,
        misfits=tuple((order, reason) for order in rebuilt.live if (reason := misfit(grid, order))),
        last_trade_id=told.trades[-1].trade_id if told.trades else None,
        found_position=_found_position(told, rebuilt),
        former=tuple(order for order in orders if order.tag.shard != shard),
    )


def _found_position(told: SymbolSurvey, rebuilt: Rebuilt) -> Decimal:
    """What of a contract's position no recorded trade explains."""
    instrument = told.instrument
    if instrument.kind is MarketKind.SPOT:
        return Decimal(0)
    held = sum(slot.inventory_units for slot in rebuilt.slots.values())
    began = sum(slot.inventory_units for slot in rebuilt.began.values())
    return told.position.quantity - instrument.units_to_base(held - began)


def _which(installations: Mapping[int, int], asked: int | None) -> str:
    if not installations:
        return "no order of any installation is told: add the symbols, there is nothing to restore"
    listed = ", ".join(f"{nonce} ({count} orders)" for nonce, count in installations.items())
    if asked is not None:
        return f"no order of installation {asked} is told, but of {listed}"
    return f"orders of several installations are told: {listed}; choose one with --nonce"


def _strangers(seen: AccountSurvey, nonce: int) -> list[str]:
    """Orders of other installations that rest: their symbols would be halted at once."""
    return [
        f"{symbol}: order {record.report.client_order_id} of installation {tag.nonce} rests there"
        for symbol, told in seen.symbols.items()
        for record, tag in told.orders
        if tag is not None and tag.nonce != nonce and record.rests
    ]


def _objections(restored: SymbolRestoration, orders: Sequence[TaggedOrder]) -> list[str]:
    problems = [
        f"order {order.record.report.client_order_id} of shard {order.tag.shard}, which was"
        " removed, rests: no grid owns it, so cancel it at the exchange"
        for order in orders
        if order.record.rests and order.tag.shard != restored.shard
    ]
    problems += [
        f"order {order.order.record.report.client_order_id} cannot be taken over: {reason}; cancel"
        " it, or declare the grid as it was"
        for order in restored.rebuilt.live
        if (reason := contradiction(restored.grid, order))
    ]
    grid = restored.grid
    problems += [
        f"slot {slot.id} holds {grid.instrument.units_to_base(slot.inventory_units)}, and is"
        f" {grid.role_of(slot.id).name.lower()} in this grid: declare the mode in which it traded"
        for slot in restored.rebuilt.slots.values()
        if slot.inventory_units * grid.role_of(slot.id) < 0
    ]
    places = Counter(order.order.slot_side for order in restored.rebuilt.live)
    problems += [
        f"{count} orders rest for the {side} of slot {slot}: cancel all but one"
        for (slot, side), count in places.items()
        if count > 1
    ]
    gaps = restored.rebuilt.gaps
    problems += [f"slot {gap.slot}: {gap.detail}" for gap in gaps[:_GAPS_MAX]]
    if gaps:
        problems.append(_way_out(gaps))
    return problems


def _way_out(gaps: Sequence[Gap]) -> str:
    return (
        f"the inventory of {len(gaps)} slots is not known, since the venue does not tell all that"
        " was traded; with --since DATE only what is told since counts, and slots begin with what"
        " their exits closed since then and are still to close"
    )


def _twice(symbols: Sequence[SymbolRestoration]) -> list[str]:
    by_shard: dict[int, list[str]] = defaultdict(list)
    for restored in symbols:
        by_shard[restored.shard].append(restored.symbol)
    return [
        f"shard {shard} is named by the orders of {' and '.join(names)}"
        for shard, names in by_shard.items()
        if len(names) > 1
    ]


def _shortfalls(seen: AccountSurvey, symbols: Sequence[SymbolRestoration]) -> list[str]:
    """Base that slots would hold and the account does not have."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for restored in symbols:
        if restored.grid.instrument.kind is MarketKind.SPOT:
            declared = restored.spec.base_inventory or Decimal(0)
            held[restored.grid.instrument.base] += restored.inventory + declared
    return [
        f"the slots would hold {amount} {base} and the account has"
        f" {seen.balances.get(base, Decimal(0))}: some was moved or sold elsewhere"
        for base, amount in held.items()
        if amount > seen.balances.get(base, Decimal(0))
    ]


def _tags(seen: AccountSurvey, nonce: int) -> list[OrderTag]:
    return [
        tag
        for told in seen.symbols.values()
        for _, tag in told.orders
        if tag is not None and tag.nonce == nonce
    ]
