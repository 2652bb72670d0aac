"""The invariants: pure functions from both sides' records to results."""

from audit.invariants.balances import check_balances
from audit.invariants.convergence import check_convergence
from audit.invariants.evidence import Evidence
from audit.invariants.fills import check_fills
from audit.invariants.kill_switch import check_kill_switch
from audit.invariants.orders import check_intents, check_single_live_order, check_single_order
from audit.invariants.requests import check_requests
from audit.report import Result

__all__ = ["HEALABLE", "Evidence", "check_all", "check_all_and_kills"]

#: What may be in flight at any one look; a violation of the others stays one.
HEALABLE = frozenset({"I3", "I7", "I8", "I10"})


def check_all(evidence: Evidence) -> tuple[Result, ...]:
    return (
        check_single_order(evidence),
        check_intents(evidence),
        check_fills(evidence),
        check_single_live_order(evidence),
        check_convergence(evidence),
        check_balances(evidence),
        check_requests(evidence),
    )


def check_all_and_kills(evidence: Evidence) -> tuple[Result, ...]:
    return (*check_all(evidence), check_kill_switch(evidence))
