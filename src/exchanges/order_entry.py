"""The only module that places and cancels orders, and changes anything else at a venue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

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

Made = TypeVar("Made")
#: Why nothing was made of a request, or why nobody knows.
Failure = Refused | Undetermined | NotSent


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
                sending.create_task(self._place(intents, instrument, guard))
                for intents in self._requests([place.intent for place in plan.plan.places])
            ]
        placed = {name: outcome for task in places for name, outcome in task.result().items()}
        return Outcomes(
            cancels, tuple(placed[place.intent.client_order_id] for place in plan.plan.places)
        )

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        async with asyncio.TaskGroup() as sending:
            tasks = [
                sending.create_task(self._cancel(client_order_id, symbol, guard))
                for client_order_id in client_order_ids
            ]
        return tuple(task.result() for task in tasks)

    def _requests(self, intents: Sequence[Intent]) -> Iterator[Sequence[Intent]]:
        """Those that go in one request: never an entry and an exit, which must not wait for it."""
        batch = self._session.venue.place_batch
        together = batch.most if batch else 1
        for tier in (Tier.REDUCE, Tier.ENTRY):
            of_tier = [intent for intent in intents if _tier_of(intent) is tier]
            for first in range(0, len(of_tier), together):
                yield of_tier[first : first + together]

    async def _place(
        self, intents: Sequence[Intent], instrument: Instrument, guard: SendGuard
    ) -> Mapping[ClientOrderId, Outcome]:
        for intent in intents:
            self._stream.expect(intent.client_order_id)
        placed: Mapping[ClientOrderId, Outcome]
        batch = self._session.venue.place_batch
        if batch is None or len(intents) == 1:
            (intent,) = intents
            placed = {intent.client_order_id: await self._place_one(intent, instrument, guard)}
        else:
            placed = await self._place_together(intents, batch.api, instrument, guard)
        for name, outcome in placed.items():
            self._stream.settle(name, is_accepted=isinstance(outcome, Accepted))
        return placed

    async def _place_one(self, intent: Intent, instrument: Instrument, guard: SendGuard) -> Outcome:
        name = intent.client_order_id

        async def place(client: Any) -> Outcome | None:
            order = self._order(client, intent, instrument)
            placed: Structure = await client.create_order(**order)
            return self._accepted(Call.PLACE, placed, name)

        placed = await self._send(Call.PLACE, _tier_of(intent), guard, place)
        return placed or await self._what_became(instrument.symbol, name)

    async def _place_together(
        self, intents: Sequence[Intent], api: str, instrument: Instrument, guard: SendGuard
    ) -> Mapping[ClientOrderId, Outcome]:
        misfits: dict[ClientOrderId, Outcome] = {}

        async def place(client: Any) -> Mapping[ClientOrderId, Outcome]:
            orders: dict[ClientOrderId, dict[str, Any]] = {}
            for intent in intents:
                try:
                    orders[intent.client_order_id] = self._order(client, intent, instrument)
                except OrderRejected as error:
                    misfits[intent.client_order_id] = _outcome_of(error)
            if not orders:
                return {}
            placed: list[Structure] = await client.create_orders(list(orders.values()))
            return self._read_batch(client, client.urls["api"][api], list(orders), placed)

        placed = await self._send(Call.PLACE_BATCH, _tier_of(intents[0]), guard, place)
        if isinstance(placed, Failure):
            placed = dict.fromkeys((intent.client_order_id for intent in intents), placed)
        return {**placed, **misfits}

    def _order(self, client: Any, intent: Intent, instrument: Instrument) -> dict[str, Any]:
        """What ccxt takes for a limit order."""
        venue = self._session.venue
        price = instrument.ticks_to_price(intent.price_ticks)
        quantity = instrument.lots_to_quantity(intent.quantity_lots)
        _check_kept(price, client.price_to_precision(instrument.symbol, f"{price:f}"))
        _check_kept(quantity, client.amount_to_precision(instrument.symbol, f"{quantity:f}"))
        params: dict[str, object] = {venue.ids.create: intent.client_order_id}
        if intent.post_only:
            params[venue.post_only] = True
        if intent.reduce_only:
            params["reduceOnly"] = True
        expiry_ms = venue.capabilities(self._session.account).request_expiry_ms
        if expiry_ms and venue.expiry is not None and venue.expiry.deadline is not None:
            params[venue.expiry.deadline] = client.iso8601(client.nonce() + expiry_ms)
        return {
            "symbol": instrument.symbol,
            "type": "limit",
            "side": intent.side.value,
            "amount": f"{quantity:f}",
            "price": f"{price:f}",
            "params": params,
        }

    def _read_batch(
        self, client: Any, url: str, names: Sequence[ClientOrderId], reply: Sequence[Structure]
    ) -> Mapping[ClientOrderId, Outcome]:
        """Each order's own outcome.

        ccxt sorts the reply by time, and what was refused has neither time nor client id: refusals
        keep the order among themselves in which the venue told of them, which is ours.
        """
        orders = {each["clientOrderId"]: each for each in reply if each["clientOrderId"]}
        refusals = [each for each in reply if not each["clientOrderId"]]
        refused = [name for name in names if name not in orders]
        outcomes: dict[ClientOrderId, Outcome] = {
            name: Accepted(report_of(orders[name], name)) for name in names if name in orders
        }
        for name, refusal in zip(refused, refusals, strict=True):
            outcomes[name] = self._refusal(client, url, refusal)
        return outcomes

    def _refusal(self, client: Any, url: str, entry: Structure) -> Outcome:
        """As ccxt would raise it had the order been alone."""
        told = entry["info"]
        body = json.dumps(told, separators=(",", ":"))
        try:
            client.handle_errors(400, "", url, "POST", {}, body, told, {}, "")
        except CcxtError as error:
            return _outcome_of(self._session.translated(error, may_have_acted=True))
        return Undetermined(f"not understood: {body}")

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

        async def cancel(client: Any) -> Outcome | None:
            cancelled: Structure = await client.cancel_order(order_id, symbol, params)
            return self._accepted(Call.CANCEL, cancelled, client_order_id)

        outcome = await self._send(Call.CANCEL, Tier.CANCEL, guard, cancel)
        outcome = outcome or await self._what_became(symbol, client_order_id)
        if isinstance(outcome, Accepted) and outcome.report.status is VenueStatus.OPEN:
            return Undetermined("the cancel was taken and the order still rests")
        return outcome

    async def _send(
        self,
        call: Call,
        tier: Tier,
        guard: SendGuard,
        request: Callable[[Any], Awaitable[Made]],
    ) -> Made | Failure:
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
                        return await request(client)
                except OwnershipLost as error:
                    # aiohttp repeats a DELETE on a connection that turns out dead.
                    return (Undetermined if dispatch.has_left else NotSent)(str(error))
                except VenueError as error:
                    return _outcome_of(error)
                except (CcxtError, OSError) as error:
                    return _outcome_of(
                        self._session.translated(error, may_have_acted=dispatch.has_left)
                    )

    def _accepted(
        self, call: Call, reply: Structure, client_order_id: ClientOrderId
    ) -> Outcome | None:
        """None where a reply says only that the request was taken."""
        if self._session.venue.reply_to(call) is not Reply.ORDER:
            return None
        return Accepted(report_of(reply, client_order_id))

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


def _tier_of(intent: Intent) -> Tier:
    return Tier.ENTRY if intent.tag.purpose in OPENING else Tier.REDUCE


def _outcome_of(error: VenueError) -> Failure:
    match error:
        case OrderNotFound():
            return Refused("not_found", str(error))
        case OrderRejected(reason=reason):
            return Refused(reason, str(error))
        case TransientVenueError() | AuthenticationRefused():
            return NotSent(str(error))
        case _:
            return Undetermined(str(error))
