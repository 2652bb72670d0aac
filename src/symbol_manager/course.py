"""What a shard may want and how it says what it does: pure functions of its circumstances."""

from __future__ import annotations

from dataclasses import dataclass

from grid.desired import Stance
from grid.phase import Phase, Stage
from ports.store import Desired, Status
from symbol_manager.mailbox import Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Everything beside prices and slots that a shard's stance hangs on."""

    wishes: Wishes
    phase: Phase
    #: This process is stopping and takes its orders along.
    cancels_for_stop: bool
    #: Why there must be no entries; empty if nothing speaks against them.
    halt_reason: str
    #: Why orders under the trading rules in force must go; empty while those are the venue's.
    rules_reason: str
    has_price: bool
    #: Why the price must not be acted on; empty if it may.
    price_reason: str
    #: Funds were short a while ago: entries that rest stay, and none is added.
    entries_locked: bool
    #: Why no slot beside the price takes an entry; empty if one does.
    idle_reason: str
    #: Anything of ours may rest or may not be booked yet.
    has_orders: bool
    #: Nothing is held that could be closed.
    is_flat: bool


def stance_of(now: Circumstances) -> Stance:
    """What orders there may be, from the strongest word down."""
    wants = now.wishes.desired
    if now.wishes.is_killed or wants is Desired.REMOVED or now.cancels_for_stop:
        return Stance.NOTHING
    if now.rules_reason:
        return Stance.NOTHING
    stance = Stance.FLATTEN if wants is Desired.CLOSED else now.phase.stance
    pulls_entries = bool(now.halt_reason or now.price_reason)
    if stance is Stance.FLATTEN:
        # What the price is must be known to sell at a little less.
        return Stance.EXIT if pulls_entries else stance
    if stance is Stance.TRADE and (pulls_entries or wants is Desired.PAUSED):
        return Stance.EXIT
    return stance


def status_of(now: Circumstances) -> tuple[Status, str]:
    """What the symbol is doing, and why: the first of these that holds."""
    wants, phase = now.wishes.desired, now.phase
    is_removed, is_closed = wants is Desired.REMOVED, wants is Desired.CLOSED
    is_over = phase.stage is Stage.ENDED and not now.has_orders
    circumstances = (
        (is_removed and now.has_orders, Status.REMOVING, "cancelling"),
        (is_removed, Status.REMOVED, ""),
        (now.wishes.is_killed and now.has_orders, Status.HALTED, "kill switch: cancelling"),
        (now.wishes.is_killed, Status.STOPPED, "kill switch"),
        (is_closed and now.is_flat and not now.has_orders, Status.REMOVED, "inventory closed"),
        (bool(now.rules_reason), Status.HALTED, now.rules_reason),
        (bool(now.halt_reason), Status.HALTED, now.halt_reason),
        (not now.has_price, Status.STARTING, "no price yet"),
        (bool(now.price_reason), Status.HALTED, now.price_reason),
        (is_closed, Status.REMOVING, "closing the inventory"),
        (is_over, Status.STOPPED, phase.reason),
        (phase.stage in {Stage.CLOSING, Stage.ENDED}, Status.CLOSING, phase.reason),
        (wants is Desired.PAUSED, Status.PAUSED, _what_resumes(phase)),
        (phase.stage is Stage.WAITING, Status.WAITING, "for the trigger price"),
        (now.entries_locked, Status.RUNNING, "entries wait: funds are short"),
        (bool(now.idle_reason), Status.RUNNING, f"no entries: {now.idle_reason}"),
        (True, Status.RUNNING, ""),
    )
    return next((status, why) for holds, status, why in circumstances if holds)


def _what_resumes(phase: Phase) -> str:
    """What a paused grid with a trigger price will do; its trigger may be reached meanwhile."""
    if phase.stage is Stage.WAITING:
        return "waits for the trigger price"
    return f"{phase.reason}: trades at once when resumed" if phase.reason else ""
