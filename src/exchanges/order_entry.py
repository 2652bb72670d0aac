"""The only module that places and cancels orders, and changes anything else at a venue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

from domain.errors import (
    AuthenticationRefused,
    ConfigurationError,
    OrderNotFound,
    OrderRejected,
    OwnershipLost,
    TransientVenueError,
    VenueError,
)
from domain.ids import ClientOrderId
from domain.instrument import Instrument
from domain.orders import Intent, VenueStatus
from domain.plans import CommittedPlan
from exchanges.capabilities import Address, Call, Reply
from exchanges.connection import dispatching
from exchanges.contracts import set_countdown, set_margin
from exchanges.conversions import Structure
from exchanges.look_up import address
from exchanges.queries import find_order, report_of
from exchanges.rate_budget import Tier
from exchanges.session import Session
from exchanges.streams import AccountStream
from exchanges.translate import CcxtError, understanding
from grid.role import OPENING
from ports.exchange import (
    Accepted,
    NotSent,
    Outcome,
    Outcomes,
    Refused,
    SendGuard,
    Undetermined,
)

#: Requests of one account under way at a time.
IN_FLIGHT_MAX = 8
#: How long an order waits for the rate budget; the send guard judges whether it still may go then.
ORDER_WAIT_MAX_S = 1.0

Request = Callable[[Any], Awaitable[Structure]]


class OrderEntry:
    """Takes risk-approved plans with committed intents, and nothing else."""

    def __init__(self, session: Session, stream: AccountStream) -> None:
        """`stream` is told what it should soon tell of."""
        self._session = session
        self._stream = stream
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        cancels = await self.cancel(
            instrument.symbol, [cancel.client_order_id for cancel in plan.plan.cancels], guard
        )
        # A group, so that no request outlives its plan if another one fails unforeseen.
        async with asyncio.TaskGroup() as sending:
            places = [
                sending.create_task(self._place(place.intent, instrument, guard))
                for place in plan.plan.places
            ]
        return Outcomes(cancels, tuple(task.result() for task in places))

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        async with asyncio.TaskGroup() as sending:
            tasks = [
                sending.create_task(self._cancel(client_order_id, symbol, guard))
                for client_order_id in client_order_ids
            ]
        return tuple(task.result() for task in tasks)

    async def _place(self, intent: Intent, instrument: Instrument, guard: SendGuard) -> Outcome:
        symbol = instrument.symbol
        price = instrument.ticks_to_price(intent.price_ticks)
        quantity = instrument.lots_to_quantity(intent.quantity_lots)
        venue = self._session.venue
        expiry_ms = venue.capabilities(self._session.account).request_expiry_ms
        params: dict[str, object] = {venue.ids.create: intent.client_order_id}
        if intent.post_only:
            params[venue.post_only] = True
        if intent.reduce_only:
            params["reduceOnly"] = True

        async def place(client: Any) -> Structure:
            _check_kept(price, client.price_to_precision(symbol, f"{price:f}"))
            _check_kept(quantity, client.amount_to_precision(symbol, f"{quantity:f}"))
            if expiry_ms and venue.expiry is not None and venue.expiry.deadline is not None:
                params[venue.expiry.deadline] = client.iso8601(client.nonce() + expiry_ms)
            placed: Structure = await client.create_order(
                symbol, "limit", intent.side.value, f"{quantity:f}", f"{price:f}", params
            )
            return placed

        tier = Tier.ENTRY if intent.tag.purpose in OPENING else Tier.REDUCE
        self._stream.expect(intent.client_order_id)
        outcome = await self._send(Call.PLACE, tier, symbol, intent.client_order_id, guard, place)
        is_accepted = isinstance(outcome, Accepted)
        self._stream.settle(intent.client_order_id, is_accepted=is_accepted)
        return outcome

    async def _cancel(
        self, client_order_id: ClientOrderId, symbol: str, guard: SendGuard
    ) -> Outcome:
        ids = self._session.venue.ids
        order_id, params = address(ids.cancel_by, ids.cancel, client_order_id)
        if ids.cancel_by is Address.VENUE_ID:
            try:
                known = await find_order(self._session, symbol, client_order_id, Tier.CANCEL)
                order_id = known.venue_order_id
            except OrderNotFound as error:
                return Refused("not_found", str(error))
            except VenueError as error:
                return NotSent(str(error))

        async def cancel(client: Any) -> Structure:
            cancelled: Structure = await client.cancel_order(order_id, symbol, params)
            return cancelled

        outcome = await self._send(Call.CANCEL, Tier.CANCEL, symbol, client_order_id, guard, cancel)
        if isinstance(outcome, Accepted) and outcome.report.status is VenueStatus.OPEN:
            return Undetermined("the cancel was taken and the order still rests")
        return outcome

    async def _send(
        self,
        call: Call,
        tier: Tier,
        symbol: str,
        client_order_id: ClientOrderId,
        guard: SendGuard,
        request: Request,
    ) -> Outcome:
        """Send one request that changes something at the venue; never raises a venue's error."""
        try:
            await self._session.admission.admit(
                self._session.venue.costs[call].of_tier(tier), wait_max_s=ORDER_WAIT_MAX_S
            )
            client = (await self._session.open()).client
        except (VenueError, CcxtError, OSError) as error:
            return NotSent(str(error))
        async with self._in_flight:
            with dispatching(guard) as dispatch:
                try:
                    with understanding(f"{call} reply"):
                        reply = await request(client)
                        if self._session.venue.reply_to(call) is Reply.ORDER:
                            return Accepted(report_of(reply, client_order_id))
                except OwnershipLost as error:
                    # aiohttp repeats a DELETE on a connection that turns out dead.
                    return (Undetermined if dispatch.has_left else NotSent)(str(error))
                except VenueError as error:
                    return _outcome_of(error)
                except (CcxtError, OSError) as error:
                    return _outcome_of(
                        self._session.translated(error, may_have_acted=dispatch.has_left)
                    )
        return await self._what_became(symbol, client_order_id)

    async def _what_became(self, symbol: str, client_order_id: ClientOrderId) -> Outcome:
        """A receipt says that a request was taken, not what it led to."""
        try:
            return Accepted(await find_order(self._session, symbol, client_order_id, Tier.QUERY))
        except VenueError as error:
            return Undetermined(f"taken, and not seen yet: {error}")

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        async with self._session.asking(Call.DEAD_MAN_SWITCH, Tier.REDUCE) as client:
            with dispatching(guard):
                await set_countdown(client, symbol, countdown_s)

    async def prepare_symbol(self, symbol: str) -> int:
        if not self._session.trades_contracts:
            return 1
        leverage, mode = self._session.account.leverage, self._session.account.margin_mode
        try:
            async with self._session.asking(Call.PREPARE) as client:
                await set_margin(client, symbol, leverage, mode)
        except OrderRejected as error:
            raise ConfigurationError(
                field="account.leverage",
                rule=f"and account.margin_mode must be what the venue sets {symbol} to",
                value=f"{leverage} and {mode.value}: {error}",
                remedy="close the symbol's position and orders, or keep what they were opened with",
            ) from error
        return leverage


def _check_kept(intended: Decimal, sent: str) -> None:
    """ccxt rounds to the market's present steps; an order must leave as decided or not at all."""
    if Decimal(sent) != intended:
        raise OrderRejected(
            f"{intended:f} would leave as {sent}: the venue's steps have changed", reason="filter"
        )


def _outcome_of(error: VenueError) -> Outcome:
    match error:
        case OrderNotFound():
            return Refused("not_found", str(error))
        case OrderRejected(reason=reason):
            return Refused(reason, str(error))
        case TransientVenueError() | AuthenticationRefused():
            return NotSent(str(error))
        case _:
            return Undetermined(str(error))
