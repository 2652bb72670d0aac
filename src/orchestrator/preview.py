"""What another spec would do to a symbol, from Postgres alone and without any effect.

The shard's own decision is made on a copy of its state, again and again as if the exchange did at
once what it is told, until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, InvariantViolation, RequestRefused
from domain.ids import ClientOrderId, OrderTag, VenueOrderId, encode_tag
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Cancelled, Open, Order
from domain.plans import RiskApproved
from grid.check import SpecReport
from grid.edits import Edit, edit_grid
from grid.spec import ORDERS_MAX, GridSpec
from ports.store import Changes, Claim
from risk.reservations import PortfolioLimits
from store.specs import Look, Specs, check_version, not_traded
from symbol_manager.course import Circumstances, stance_of
from symbol_manager.decide import decide, limits_of
from symbol_manager.mailbox import Wishes
from symbol_manager.state import ShardState

#: Decisions until the orders must have come to rest: cancels, places, and what those make room for.
ROUNDS_MAX = 20
_NOWHERE = VenueOrderId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedOrder:
    """An order that rests, or would."""

    side: str
    price: Decimal
    quantity: Decimal
    purpose: str
    ladder_version: int
    slot: int
    #: `None` of an order that is not there yet.
    client_order_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridNumbers:
    """What a spec comes to on the market at hand."""

    budget_quote: Decimal
    max_open_orders: int
    ladder_version: int
    #: Of the grid's life.
    stage: str
    #: What it comes to at this price; `None` of a grid that the market would refuse by now.
    report: SpecReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    symbol: str
    #: The version that is there now; the update would make the next one.
    version: int
    #: Middle of the book that the symbol's last decision saw.
    price: Decimal
    #: Orders that would be cancelled, that would be placed, and that rest on.
    go: tuple[PreviewedOrder, ...]
    come: tuple[PreviewedOrder, ...]
    stay: tuple[PreviewedOrder, ...]
    now: GridNumbers
    then: GridNumbers


async def preview_update(
    engine: AsyncEngine,
    account: str,
    symbol: str,
    spec: GridSpec,
    expected_version: int | None = None,
    limits: PortfolioLimits = PortfolioLimits(),  # noqa: B008  # frozen, and bounds nothing
) -> Preview:
    """Show what `update` would do.

    Raises
    ------
    ConfigurationError
        If the update would be refused by the rules of the market, the grid and the account's money
        as Postgres has them.
    RequestRefused
        If the symbol is not traded, or no decision of it has seen a price yet.
    """
    look = await Specs(engine).look(account, symbol)
    if look is None:
        raise not_traded(account, symbol)
    check_version(symbol, look.claim.spec_version, expected_version)
    if look.book is None:
        raise RequestRefused(f"{symbol} has not seen a price yet: look again when it runs")
    shown = preview_of(look, look.book, spec)
    await Specs(engine).check_room(account, symbol, spec, limits)
    return shown


def preview_of(look: Look, book: BookTop, spec: GridSpec) -> Preview:
    """Compare the orders that rest with those that a spec makes of them."""
    claim, instrument = look.claim, look.claim.instrument
    price = instrument.ticks_to_price(book.mid_ticks)
    edited = edit_grid(look.standing, spec, instrument, price)
    resting = _orders(ShardState(claim, look.loaded))
    settled = _orders(_settled(look, book, edited))
    return Preview(
        symbol=claim.symbol,
        version=claim.spec_version,
        price=price,
        go=_shown(resting, resting.keys() - settled.keys(), instrument),
        come=_shown(settled, settled.keys() - resting.keys(), instrument, is_new=True),
        stay=_shown(resting, resting.keys() & settled.keys(), instrument),
        now=_numbers(
            claim.spec,
            _report_now(look, price),
            look.standing.ladder.version,
            claim.phase.stage,
        ),
        then=_numbers(
            spec,
            edited.report,
            (edited.ladder or look.standing.ladder).version,
            edited.phase.stage,
        ),
    )


def claim_under(claim: Claim, edited: Edit) -> Claim:
    """What the shard's next owner would find."""
    ladders = claim.ladders
    if edited.ladder:
        others = [known for known in ladders if known.version != edited.ladder.version]
        ladders = (*others, edited.ladder)
    return replace(
        claim,
        spec=edited.spec,
        spec_version=claim.spec_version + 1,
        ladders=ladders,
        start_price=edited.start_price,
        phase=edited.phase,
    )


def _settled(look: Look, book: BookTop, edited: Edit) -> ShardState:
    """The shard's state once it has done all that it wants at this price."""
    state = ShardState(claim_under(look.claim, edited), look.loaded)
    for order in state.live_orders().values():
        if order.cancel_requested:
            _cancel(state, order.intent.client_order_id)
    for _ in range(ROUNDS_MAX):
        approved = _decision(look, state, book)
        if not approved.plan:
            return state
        state.intend(approved.plan)
        for cancel in approved.plan.cancels:
            _cancel(state, cancel.client_order_id)
        for place in approved.plan.places:
            state.set_state(place.intent.client_order_id, Open(_NOWHERE), Changes())
    raise InvariantViolation(f"{look.claim.symbol}: decisions at one price do not come to rest")


def _cancel(state: ShardState, client_order_id: ClientOrderId) -> None:
    filled_lots = state.order(client_order_id).filled_lots
    state.set_state(client_order_id, Cancelled(_NOWHERE, filled_lots), Changes())


def _decision(look: Look, state: ShardState, book: BookTop) -> RiskApproved:
    stance = stance_of(
        Circumstances(
            wishes=Wishes(look.desired, is_killed=look.is_killed),
            phase=state.phase,
            cancels_for_stop=False,
            halt_reason="",
            rules_reason="",
            has_price=True,
            price_reason="",
            entries_locked=False,
            idle_reason="",
            has_orders=bool(state.active_orders()),
            is_flat=False,
        )
    )
    return decide(
        state,
        book,
        limits_of(state.grid, orders_per_minute=ORDERS_MAX),
        stance=stance,
        may_place=True,
        waiting=(),
        sent_last_minute=0,
        new_id=_spelled,
    )


def _spelled(tag: OrderTag) -> ClientOrderId:
    return ClientOrderId(f"preview-{encode_tag(tag):026x}")


def _orders(state: ShardState) -> Mapping[ClientOrderId, Order]:
    return {order.intent.client_order_id: order for order in state.live_orders().values()}


def _shown(
    orders: Mapping[ClientOrderId, Order],
    which: set[ClientOrderId],
    instrument: Instrument,
    *,
    is_new: bool = False,
) -> tuple[PreviewedOrder, ...]:
    """Some of the orders, the dearest first, as a book is read."""
    chosen = [orders[name] for name in which]
    chosen.sort(key=lambda order: (-order.intent.price_ticks, order.intent.tag.slot))
    return tuple(
        PreviewedOrder(
            side=order.intent.side.value,
            price=instrument.ticks_to_price(order.intent.price_ticks),
            quantity=instrument.lots_to_quantity(order.remaining_lots),
            purpose=order.intent.tag.purpose.name.lower(),
            ladder_version=order.intent.tag.slot.version,
            slot=order.intent.tag.slot.number,
            client_order_id=None if is_new else order.intent.client_order_id,
        )
        for order in chosen
    )


def _report_now(look: Look, price: Decimal) -> SpecReport | None:
    now = look.standing
    with suppress(ConfigurationError):
        return edit_grid(now, now.spec, look.claim.instrument, price).report
    return None


def _numbers(
    spec: GridSpec, report: SpecReport | None, ladder_version: int, stage: str
) -> GridNumbers:
    return GridNumbers(
        budget_quote=spec.budget_quote,
        max_open_orders=spec.max_open_orders,
        ladder_version=ladder_version,
        stage=stage,
        report=report,
    )
