"""Does what the effects of faults name, and undoes it."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from chaos.faults import (
    Armed,
    Broken,
    ByHand,
    FrozenMarket,
    FullDisk,
    Jump,
    Killed,
    Person,
    Process,
    Refiltered,
    Signalled,
)
from chaos.proxy import Mode
from chaos.rig import Listing, Rig
from chaos.schedule import Injection

#: What the descriptions of armed faults call the exchange's paths, by market.
PATHS: Mapping[str, Mapping[str, str]] = {
    "spot": {
        "order": "/api/v3/order",
        "open orders": "/api/v3/openOrders",
        "trades": "/api/v3/myTrades",
    },
    "futures": {
        "order": "/fapi/v1/order",
        "open orders": "/fapi/v1/openOrders",
        "trades": "/fapi/v1/userTrades",
    },
}
#: What a person trades, in quote.
TRADE_QUOTE = Decimal(100)


class NothingToStrikeError(Exception):
    """The fault has no object here and now."""


async def strike(rig: Rig, injection: Injection) -> None:
    """Let a fault begin.

    Raises
    ------
    NothingToStrikeError
        If there is nothing to do it to.
    """
    match injection.fault.effect:
        case Armed(descriptions):
            await rig.control("/control/faults", _on_paths(rig, descriptions))
        case Broken(line, mode):
            for node in injection.nodes:
                rig.proxy(node, line).set(mode)
        case Signalled(process, number):
            rig.signal(process, injection.nodes[0], number)
        case FrozenMarket() | Refiltered() | Jump() | ByHand():
            await _strike_market(rig, injection)
        case FullDisk():
            if rig.disk is None:
                raise NothingToStrikeError(
                    "no small file system can be mounted here: it takes root and the right to mount"
                )
            rig.disk.fill()
        case Killed():
            await rig.throw_kill_switch()


async def heal(rig: Rig, injection: Injection) -> None:
    """End a fault; jumps and what a person did are over already.

    Raises
    ------
    NothingToStrikeError
        If nothing met it.
    NotEndedError
        If what was told to end did not.
    """
    match injection.fault.effect:
        case Armed(descriptions, named_by):
            await _disarm(rig, descriptions[:named_by])
        case Broken(line):
            for node in injection.nodes:
                rig.proxy(node, line).set(Mode.PASS)
        case Signalled(process, number):
            await _revive(rig, process, injection.nodes[0], number)
        case FrozenMarket():
            await rig.control("/control/freeze", {"symbol": "all", "frozen": False})
        case Refiltered():
            await _refilter(rig, injection, 1, 1)
        case FullDisk():
            if rig.disk is not None:
                rig.disk.empty()
        case Killed():
            await rig.rearm()


async def _strike_market(rig: Rig, injection: Injection) -> None:
    match injection.fault.effect:
        case FrozenMarket():
            await rig.control("/control/freeze", {"symbol": "all", "frozen": True})
        case Refiltered(tick_times, lot_times):
            await _refilter(rig, injection, tick_times, lot_times)
        case Jump(percent_max):
            await _jump(rig, injection, percent_max)
        case ByHand(person):
            await _by_hand(rig, injection, person)


async def _disarm(rig: Rig, naming: Sequence[Mapping[str, Any]]) -> None:
    """What was to happen to requests or events must have happened at least once.

    Parameters
    ----------
    naming : sequence of mapping
        What the fault is called after; whatever comes with it does not count.
    """
    left = await rig.control("/control/faults")
    await rig.control("/control/faults", method="DELETE")
    counted = _on_paths(rig, [description for description in naming if "count" in description])
    if counted and all(_is_untouched(description, left) for description in counted):
        raise NothingToStrikeError("no request or event met it")


def _is_untouched(description: Mapping[str, Any], left: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is still armed as it was; the exchange forgets what happened for the last time."""
    as_armed = {**description, "fired": 0}
    return any(as_armed.items() <= fault.items() for fault in left)


def _on_paths(rig: Rig, descriptions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    paths = PATHS[next(iter(rig.listings.values())).market]
    return [
        {**item, "path": paths[item["path"]]} if "path" in item else dict(item)
        for item in descriptions
    ]


async def _revive(rig: Rig, process: Process, node: int, number: signal.Signals) -> None:
    if number is signal.SIGSTOP:
        rig.signal(process, node, signal.SIGCONT)
        return
    if process is Process.POSTGRES and number is signal.SIGTERM:
        # A smart shutdown waits for sessions that never end by themselves.
        rig.signal(process, node, signal.SIGINT)
    await rig.start(process, node)


async def _refilter(rig: Rig, injection: Injection, tick_times: int, lot_times: int) -> None:
    listing = rig.listings[injection.symbol]
    await _control(
        rig,
        listing,
        "filters",
        filters={
            "tick_size": str(listing.tick_size * tick_times),
            "step_size": str(listing.step_size * lot_times),
        },
    )


async def _jump(rig: Rig, injection: Injection, percent_max: float) -> None:
    listing = rig.listings[injection.symbol]
    percent = Decimal(str(injection.strength)) * Decimal(str(percent_max))
    wanted = await _last_price(rig, listing) * (1 + percent / 100)
    ticks = (wanted / listing.tick_size).to_integral_value(ROUND_HALF_EVEN)
    await _control(rig, listing, "price", price=str(ticks * listing.tick_size))


async def _by_hand(rig: Rig, injection: Injection, person: Person) -> None:
    listing = rig.listings[injection.symbol]
    if person is Person.TRADES:
        price = await _last_price(rig, listing)
        steps = (TRADE_QUOTE / price / listing.step_size).to_integral_value(ROUND_HALF_EVEN)
        quantity = str(steps * listing.step_size)
        await _control(rig, listing, "order", side="BUY", type="MARKET", quantity=quantity)
        return
    if person is Person.CANCELS_ALL:
        await _control(rig, listing, "cancel", all=True)
        return
    resting = [
        order["orderId"]
        for order in open_orders(await rig.control("/control/state"), listing.market)
        if order["symbol"] == listing.name
    ]
    if not resting:
        raise NothingToStrikeError(f"no order of {injection.symbol} rests")
    await _control(rig, listing, "cancel", order_id=resting[len(resting) // 2])


def market_state(state: Any, market: str) -> Any:
    """One market's part of what the control API tells."""
    return state["futures"] if market == "futures" else state


def open_orders(state: Any, market: str) -> list[Any]:
    accounts = market_state(state, market)["accounts"].values()
    return [order for account in accounts for order in account["open_orders"]]


async def _last_price(rig: Rig, listing: Listing) -> Decimal:
    state = await rig.control("/control/state")
    return Decimal(market_state(state, listing.market)["last_prices"][listing.name])


async def _control(rig: Rig, listing: Listing, call: str, **body: object) -> None:
    await rig.control(
        f"/control/{call}", {"market": listing.market, "symbol": listing.name, **body}
    )
