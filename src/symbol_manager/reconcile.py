"""Compare what Postgres says with what the exchange says; the exchange wins.

The same comparison serves a start after a crash, a stream that was lost, and every minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from domain.contracts import Position
from domain.errors import OrderNotFound
from domain.ids import ClientOrderId, Side
from domain.instrument import Instrument, MarketKind
from domain.orders import Absent, Order, OrderReport, OrderStatus, Trade
from ports.exchange import ExchangePort
from ports.store import Changes, Held, ShardStore
from symbol_manager.doubts import Doubts
from symbol_manager.rollback import order_without_intent
from symbol_manager.state import ShardState, venue_order_id_of

_UNCONFIRMED = frozenset({OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Survey:
    """The exchange's side of one symbol at one moment."""

    open_orders: Sequence[OrderReport]
    #: All from the last reconciled trade on, oldest first; `None` if they were not asked for.
    trades: Sequence[Trade] | None
    #: On spot.
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    #: Of a contract.
    position: Position = field(default_factory=Position)

    @property
    def is_complete(self) -> bool:
        return self.trades is not None


async def survey(
    exchange: ExchangePort,
    instrument: Instrument,
    reconciled_trade_id: str | None,
    needs_trades: Callable[[Sequence[OrderReport]], bool],
) -> Survey:
    """Ask the exchange; trades come last, so that they cover every fill the orders show."""
    symbol = instrument.symbol
    balances: Mapping[str, Decimal] = {}
    position = Position()
    match instrument.kind:
        case MarketKind.SPOT:
            open_orders, balances = await asyncio.gather(
                exchange.fetch_open_orders(symbol), exchange.fetch_balances()
            )
        case MarketKind.LINEAR:
            open_orders, position = await asyncio.gather(
                exchange.fetch_open_orders(symbol), exchange.fetch_position(symbol)
            )
    trades = None
    if needs_trades(open_orders):
        trades = await exchange.fetch_trades(symbol, after_trade_id=reconciled_trade_id)
    return Survey(open_orders, trades, balances, position)


def hints_at_trades(
    open_orders: Sequence[OrderReport], state: ShardState, exchange: ExchangePort
) -> bool:
    """Whether the orders shown tell of own trades that are not known yet.

    Where each of our orders rests as it is known, only somebody else's trades can be missing.
    """
    shown = {report.client_order_id: report for report in open_orders}
    if state.parked or state.strays:
        return True
    for order in state.active_orders():
        report = shown.pop(order.intent.client_order_id, None)
        if report is None or state.lacks_trades_of(report):
            return True
    tags = [exchange.ids.decode(client_order_id) for client_order_id in shown]
    return any(tag is not None and tag.nonce == state.claim.nonce for tag in tags)


async def absorb_survey(
    found: Survey,
    state: ShardState,
    doubts: Doubts,
    exchange: ExchangePort,
    store: ShardStore,
    into: Changes,
) -> None:
    """Fold a survey in: reports first, so that their trades find their orders.

    An own order that should rest and is not shown is doubted; one that is shown is not, unless a
    cancel of it is unanswered: its look-up has that cancel asked for again.
    """
    shown = set()
    for report in found.open_orders:
        await absorb_report(report, state, exchange, store, into)
        if state.knows(report.client_order_id):
            shown.add(report.client_order_id)
            doubts.clear(report.client_order_id)
            order = state.order(report.client_order_id)
            if not order.is_live:
                state.mark_stray(report.client_order_id)
            if order.cancel_requested:
                # No cancel is on its way now: the one asked for was lost, with its tenure perhaps.
                state.retry_cancel(report.client_order_id, into)
    for trade in found.trades or ():
        state.absorb_trade(trade, into)
    if found.trades:
        into.reconciled_trade_id = found.trades[-1].trade_id
    for order in state.live_orders().values():
        client_order_id = order.intent.client_order_id
        if client_order_id not in shown and client_order_id not in doubts:
            doubts.raise_for(client_order_id)


async def absorb_report(
    report: OrderReport,
    state: ShardState,
    exchange: ExchangePort,
    store: ShardStore,
    into: Changes,
) -> None:
    """Fold in a report of any order: ours in memory, ours from long ago, or somebody else's."""
    client_order_id = report.client_order_id
    if not state.knows(client_order_id):
        tag = exchange.ids.decode(client_order_id)
        if tag is None or tag.nonce != state.claim.nonce:
            return
        if tag.shard != state.claim.ownership.shard:
            return
        stored = await store.find_order(state.claim, client_order_id)
        if stored is None:
            into.findings.append(order_without_intent(report))
            return
        state.remember(*stored)
    state.absorb_report(report, into)


def why_not_alone(found: Survey, state: ShardState, exchange: ExchangePort) -> str:
    """Which other installation of this product has orders here; empty if none."""
    for report in found.open_orders:
        tag = exchange.ids.decode(report.client_order_id)
        if tag is not None and tag.nonce != state.claim.nonce:
            return f"another installation ({tag.nonce}) trades this symbol"
    return ""


def why_orphaned(found: Survey, state: ShardState, exchange: ExchangePort) -> str:
    """Which order of a former shard of the symbol rests, owned by no grid; empty if none."""
    claim = state.claim
    for report in found.open_orders:
        tag = exchange.ids.decode(report.client_order_id)
        if tag is not None and tag.nonce == claim.nonce and tag.shard < claim.ownership.shard:
            return (
                f"order {report.client_order_id} of shard {tag.shard}, which was removed, rests:"
                " no grid owns it, so cancel it at the exchange"
            )
    return ""


def doubtful_orders(state: ShardState, doubts: Doubts) -> list[Order]:
    """Orders that need a look-up: unconfirmed, doubted, or ended without all their trades."""
    strays = [state.order(client_order_id) for client_order_id in state.strays]
    return [
        order
        for order in state.active_orders()
        if is_unconfirmed(order) or order.intent.client_order_id in doubts or not order.is_live
    ] + [stray for stray in strays if stray.intent.client_order_id in doubts]


def is_unconfirmed(order: Order) -> bool:
    """Whether the venue has never said a word about it."""
    return order.status in _UNCONFIRMED


async def look_up(
    order: Order,
    state: ShardState,
    doubts: Doubts,
    exchange: ExchangePort,
    store: ShardStore,
    into: Changes,
) -> None:
    """Ask the venue for one order and its trades; absence counts only after the grace.

    A transport error proves nothing and is raised: the caller asks again later.
    """
    client_order_id = order.intent.client_order_id
    symbol = state.claim.symbol
    # Before it asks: the answer may be as old as the question, and the order arrive in between.
    may_be_absent = doubts.may_be_absent(client_order_id)
    try:
        report = await exchange.fetch_order(symbol, client_order_id)
    except OrderNotFound:
        if not is_unconfirmed(order):
            return  # the venue has shown it before: that it does not now proves nothing
        if may_be_absent and not await _rests(order, exchange, symbol):
            reason = "the venue does not know it and the request has expired"
            state.set_state(client_order_id, Absent(reason), into)
            doubts.clear(client_order_id)
        return
    state.absorb_report(report, into)
    seen = state.order(client_order_id)
    if seen.cancel_requested and (seen.is_live or client_order_id in state.strays):
        # A cancel that failed is asked for again, but not at once and not for ever at this rate.
        state.retry_cancel(client_order_id, into)
        doubts.settle(client_order_id)
        return
    if seen in state.unsettled().values():
        await _absorb_trades_of(seen, state, exchange, store, into)
    else:
        doubts.clear(client_order_id)


async def settle_parked(
    state: ShardState, doubts: Doubts, store: ShardStore, into: Changes
) -> None:
    """Give parked trades to orders that left memory; the others are somebody else's.

    The latter only once every own order is accounted for.
    """
    for venue_order_id in list(state.parked):
        stored = await store.find_order(state.claim, venue_order_id)
        if stored is not None:
            state.remember(*stored)
            state.settle_parked(venue_order_id, into)
    if not doubtful_orders(state, doubts):
        state.declare_external(list(state.parked), into)


def base_shortfall(found: Survey, held: Decimal, base: str) -> Decimal:
    """Base that the slots hold and the account does not: exits could not be covered."""
    return max(Decimal(0), held - found.balances.get(base, Decimal(0)))


def why_position_differs(found: Survey, held: Held, base: str) -> str:
    """Why a contract's slots cannot rely on its position; empty if they can.

    The position was asked for before the trades, so the newest of these may not be in it.
    """
    expected = held.slots + held.others
    known = [expected]
    for trade in reversed(found.trades or ()):
        expected -= trade.quantity if trade.side is Side.BUY else -trade.quantity
        known.append(expected)
    if found.position.quantity not in known:
        return f"the position is {found.position.quantity} {base}, its trades make {known[0]}"
    if held.slots * held.others < 0:
        # Exits would meet a smaller position than their slots', or one of the other sign.
        return f"trades of others make {held.others} {base} against the slots' {held.slots}"
    return ""


async def _rests(order: Order, exchange: ExchangePort, symbol: str) -> bool:
    open_orders = await exchange.fetch_open_orders(symbol)
    wanted: ClientOrderId = order.intent.client_order_id
    return any(report.client_order_id == wanted for report in open_orders)


async def _absorb_trades_of(
    order: Order,
    state: ShardState,
    exchange: ExchangePort,
    store: ShardStore,
    into: Changes,
) -> None:
    """Book an order's trades, also those that were taken for somebody else's before."""
    venue_order_id = venue_order_id_of(order)
    if venue_order_id is None:
        return
    client_order_id = order.intent.client_order_id
    trades = await exchange.fetch_trades(state.claim.symbol, venue_order_id=venue_order_id)
    booked = await store.own_trade_ids(client_order_id) | into.fills.keys()
    for trade in trades:
        if trade.trade_id not in booked:
            state.claim_trade(trade, client_order_id, into)
