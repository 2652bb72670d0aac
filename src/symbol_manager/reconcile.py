"""Compare what Postgres says with what the exchange says; the exchange wins.

The same comparison serves a start after a crash, a stream that was lost, and every minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import OrderNotFound
from domain.ids import ClientOrderId
from domain.orders import Absent, Order, OrderReport, OrderStatus, Trade
from ports.exchange import ExchangePort
from ports.store import Changes, Finding, ShardStore
from symbol_manager.doubts import Doubts
from symbol_manager.state import ShardState, venue_order_id_of

_UNCONFIRMED = frozenset({OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Survey:
    """The exchange's side of one symbol at one moment."""

    open_orders: Sequence[OrderReport]
    #: Complete from the last reconciled trade on, oldest first.
    trades: Sequence[Trade]
    balances: Mapping[str, Decimal]


async def survey(exchange: ExchangePort, symbol: str, reconciled_trade_id: str | None) -> Survey:
    """Ask the exchange; trades come last, so that they cover every fill the orders show."""
    open_orders, balances = await asyncio.gather(
        exchange.fetch_open_orders(symbol), exchange.fetch_balances()
    )
    trades = await exchange.fetch_trades(symbol, after_trade_id=reconciled_trade_id)
    return Survey(open_orders, trades, balances)


async def absorb_survey(
    found: Survey, state: ShardState, exchange: ExchangePort, store: ShardStore, into: Changes
) -> None:
    """Fold a survey in: reports first, so that their trades find their orders."""
    for report in found.open_orders:
        await absorb_report(report, state, exchange, store, into)
    for trade in found.trades:
        state.absorb_trade(trade, into)
    if found.trades:
        into.reconciled_trade_id = found.trades[-1].trade_id


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
            into.findings.append(
                Finding(
                    kind="order_without_intent",
                    subject=client_order_id,
                    detail={"venue_order_id": report.venue_order_id, "status": report.status},
                )
            )
            return
        state.remember(*stored)
    state.absorb_report(report, into)


def other_installation(found: Survey, state: ShardState, exchange: ExchangePort) -> int | None:
    """The nonce of another installation that has orders in this symbol; `None` if there is none."""
    for report in found.open_orders:
        tag = exchange.ids.decode(report.client_order_id)
        if tag is not None and tag.nonce != state.claim.nonce:
            return tag.nonce
    return None


def missing_orders(found: Survey, state: ShardState) -> list[Order]:
    """Own orders that may live although the exchange does not show them as open."""
    shown = {report.client_order_id for report in found.open_orders}
    return [
        order for order in state.live_orders().values() if order.intent.client_order_id not in shown
    ]


def doubtful_orders(state: ShardState, doubts: Doubts) -> list[Order]:
    """Orders that need a look-up: unconfirmed, doubted, or ended without all their trades."""
    return [
        order
        for order in state.active_orders()
        if order.status in _UNCONFIRMED
        or order.intent.client_order_id in doubts
        or not order.is_live
    ]


async def look_up(
    order: Order, state: ShardState, doubts: Doubts, exchange: ExchangePort, into: Changes
) -> None:
    """Ask the venue for one order and its trades; absence counts only after the grace.

    A transport error proves nothing and is raised: the caller asks again later.
    """
    client_order_id = order.intent.client_order_id
    symbol = state.claim.symbol
    try:
        report = await exchange.fetch_order(symbol, client_order_id)
    except OrderNotFound:
        if doubts.may_be_absent(client_order_id) and not await _rests(order, exchange, symbol):
            reason = "the venue does not know it and the request has expired"
            state.set_state(client_order_id, Absent(reason), into)
            doubts.clear(client_order_id)
        return
    doubts.clear(client_order_id)
    state.absorb_report(report, into)
    settled = state.order(client_order_id)
    if settled.is_live and settled.cancel_requested:
        state.retry_cancel(client_order_id, into)
    if settled in state.unsettled().values():
        await _absorb_trades_of(settled, state, exchange, into)


def settle_parked(state: ShardState, doubts: Doubts, into: Changes) -> None:
    """Once every own order is accounted for, trades without an order are somebody else's."""
    if not doubtful_orders(state, doubts):
        state.declare_external(list(state.parked), into)


def base_shortfall(found: Survey, held: Decimal, base: str) -> Decimal:
    """Base that the slots hold and the account does not: exits could not be covered."""
    return max(Decimal(0), held - found.balances.get(base, Decimal(0)))


async def _rests(order: Order, exchange: ExchangePort, symbol: str) -> bool:
    open_orders = await exchange.fetch_open_orders(symbol)
    wanted: ClientOrderId = order.intent.client_order_id
    return any(report.client_order_id == wanted for report in open_orders)


async def _absorb_trades_of(
    order: Order, state: ShardState, exchange: ExchangePort, into: Changes
) -> None:
    venue_order_id = venue_order_id_of(order)
    if venue_order_id is None:
        return
    trades = await exchange.fetch_trades(state.claim.symbol, venue_order_id=venue_order_id)
    for trade in trades:
        state.absorb_trade(trade, into)
