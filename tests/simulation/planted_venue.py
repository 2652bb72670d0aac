"""Bugs in what a venue asks of its users, to be planted like those of `planted.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch

from domain.instrument import Instrument
from exchanges.rate_budget import Admission
from orchestrator.trading_rules import TradingRules
from simulation.clock import EPOCH_MS, VirtualClock
from symbol_manager import tenure
from symbol_manager.rules import RulesChange, rules_change
from symbol_manager.state import ShardState

#: What no mere refusal asks for, but a ban does.
PATIENCE_S = 5.0


@contextmanager
def silence_ignored() -> Iterator[None]:
    """A node that was told to keep quiet goes on asking."""
    with patch.object(Admission, "pause", lambda self, retry_after_s: None):
        yield


@contextmanager
def silence_kept_to_oneself() -> Iterator[None]:
    """What the venue told one node the others do not heed."""
    with patch.object(Admission, "pause_with", lambda self, seconds: None):
        yield


@contextmanager
def ban_cut_short() -> Iterator[None]:
    """Whatever the venue asks for, nobody keeps quiet longer than is usual."""
    pause, pause_with = Admission.pause, Admission.pause_with

    def hasty(self: Admission, retry_after_s: float) -> None:
        pause(self, min(retry_after_s, PATIENCE_S))

    def hasty_with(self: Admission, seconds: float) -> None:
        pause_with(self, min(seconds, PATIENCE_S))

    with patch.object(Admission, "pause", hasty), patch.object(Admission, "pause_with", hasty_with):
        yield


@contextmanager
def rules_never_asked_for() -> Iterator[None]:
    """The trading rules are those that the symbol was added under."""

    async def deaf(self: TradingRules) -> None:
        return

    with patch.object(TradingRules, "_tell", deaf):
        yield


@contextmanager
def rules_followed_while_orders_rest() -> Iterator[None]:
    """Orders of the old steps rest on under the new ones."""

    def lenient(state: ShardState, published: Instrument | None) -> RulesChange | None:
        change = rules_change(state, published)
        return change and replace(change, must_cancel=False)

    with patch.object(tenure, "rules_change", lenient):
        yield


@contextmanager
def impossible_rules_taken_for_usual() -> Iterator[None]:
    """Rules that no grid can follow stop nothing."""
    with patch.object(RulesChange, "reason", property(lambda self: "")):
        yield


@contextmanager
def idleness_untold() -> Iterator[None]:
    """A symbol none of whose entries the venue would take runs, and says nothing about it."""
    with patch.object(tenure, "why_idle", lambda grid, book: ""):
        yield


@contextmanager
def durations_by_the_wall_clock() -> Iterator[None]:
    """A lease, a wait and an age are as long as a clock says that may jump."""
    with patch.object(VirtualClock, "boot_ms", lambda self: self.now_ms() - EPOCH_MS):
        yield


VENUE_BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    bug.__name__: bug
    for bug in (
        silence_ignored,
        silence_kept_to_oneself,
        ban_cut_short,
        rules_never_asked_for,
        rules_followed_while_orders_rest,
        impossible_rules_taken_for_usual,
        idleness_untold,
        durations_by_the_wall_clock,
    )
}
