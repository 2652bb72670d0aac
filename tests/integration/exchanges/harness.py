"""What the adapter's tests ask of the simulated venue, and how they make plans and read streams."""

from __future__ import annotations

import asyncio
import itertools
import json
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiohttp

from domain.ids import ClientOrderId, DecisionId, OrderTag, Purpose, Side, SlotId
from domain.orders import Intent
from domain.plans import Cancel, CommittedPlan, Place, Plan
from exchanges.ccxt_exchange import CcxtExchange
from ports.exchange import Outcome, SendGuard

SYMBOL = "BTC/USDT"
SLOT = SlotId(0, -3)
#: Far below every price of the simulated market, and within the venue's price filter.
LOW_TICKS = 4_000_000
PLACE = {"method": "POST", "path": "/api/v3/order"}
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}

Event = TypeVar("Event")
_generations = itertools.count(1)


def held() -> None:
    """A guard whose lease is held."""


@dataclass
class Venue:
    """The simulator's control API."""

    data_dir: Path
    process: Process

    @property
    def address_file(self) -> Path:
        return self.data_dir / "simulator.json"

    async def control(self, method: str, path: str, body: object = None) -> Any:
        address = json.loads(self.address_file.read_text())
        url = f"http://{address['host']}:{address['control_port']}/control/{path}"
        headers = {"Authorization": f"Bearer {address['control_token']}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=headers) as reply,
        ):
            reply.raise_for_status()
            return await reply.json()

    async def arm(self, **fault: object) -> None:
        await self.control("POST", "faults", [fault])

    async def ledger(self, kind: str) -> list[dict[str, Any]]:
        answer = await self.control("GET", "ledger")
        return [record for record in answer["records"] if record["kind"] == kind]

    async def freeze(self) -> None:
        """Stop the market once every symbol has a price."""

        async def has_prices() -> bool:
            return len((await self.control("GET", "state"))["last_prices"]) >= 5

        await eventually(has_prices)
        await self.set_frozen(True)

    async def set_frozen(self, frozen: bool) -> None:
        await self.control("POST", "freeze", {"symbol": "all", "frozen": frozen})

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


class Reader(Generic[Event]):
    """Collects a stream's events until closed."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self.seen: list[Event] = []
        self._events = events
        self._task = asyncio.create_task(self._read())

    async def until(self, condition: Callable[[list[Event]], object]) -> None:
        async def holds() -> object:
            if self._task.done():
                self._task.result()
            return condition(self.seen)

        await eventually(holds)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._events.aclose()

    async def _read(self) -> None:
        async for event in self._events:
            self.seen.append(event)


async def eventually(condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


def intent(
    exchange: CcxtExchange,
    *,
    price_ticks: int = LOW_TICKS,
    quantity_lots: int = 1_000,
    side: Side = Side.BUY,
    purpose: Purpose = Purpose.ENTRY,
    post_only: bool = True,
) -> Intent:
    """An order with a fresh client id."""
    tag = OrderTag(
        nonce=5,
        shard=1,
        slot=SLOT,
        purpose=purpose,
        side=side,
        generation=next(_generations),
    )
    return Intent(
        client_order_id=exchange.ids.encode(tag),
        tag=tag,
        price_ticks=price_ticks,
        quantity_lots=quantity_lots,
        post_only=post_only,
    )


def plan(
    *, places: tuple[Intent, ...] = (), cancels: tuple[ClientOrderId, ...] = ()
) -> CommittedPlan:
    return CommittedPlan(
        decision_id=DecisionId("sim-BTC-USDT:1:1"),
        shard=1,
        epoch=1,
        plan=Plan(
            cancels=tuple(
                Cancel(client_order_id=name, slot=SLOT, side=Side.BUY, reason="test")
                for name in cancels
            ),
            places=tuple(Place(intent=item, reason="test") for item in places),
        ),
    )


async def place(exchange: CcxtExchange, item: Intent, guard: SendGuard = held) -> Outcome:
    instrument = (await exchange.load_instruments())[SYMBOL]
    (outcome,) = (await exchange.submit(plan(places=(item,)), instrument, guard)).places
    return outcome


async def cancel(exchange: CcxtExchange, name: ClientOrderId, guard: SendGuard = held) -> Outcome:
    instrument = (await exchange.load_instruments())[SYMBOL]
    (outcome,) = (await exchange.submit(plan(cancels=(name,)), instrument, guard)).cancels
    return outcome
