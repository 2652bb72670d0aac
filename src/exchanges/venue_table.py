"""The venues' records as people read them: the command line and docs/venues.md show this."""

from __future__ import annotations

from collections.abc import Iterable

from exchanges.capabilities import Address, LookUp, Proof, Reply, Sandbox, Venue

#: What each proof means to somebody who trades there.
PROOFS = {
    Proof.END_TO_END: "kill, time-out and race tests run against a simulator of this venue",
    Proof.RECORDED_SHAPES: "what leaves unmodified ccxt by REST is captured, and replies of the "
    "documented shape are read back; streams, limits and the venue itself were not seen",
    Proof.NONE: "nothing was looked at",
}
#: The columns that tell the venues apart at a glance.
OVERVIEW = ("venue", "proof", "sandbox", "request expiry", "cancel-all", "account events")


def markdown(venues: Iterable[Venue]) -> str:
    """The generated part of docs/venues.md."""
    known = [(facts_of(venue), guarantees_of(venue)) for venue in venues]
    lines = [_cells(OVERVIEW), _cells("---" for _ in OVERVIEW)]
    lines += [_cells(facts[name] for name in OVERVIEW) for facts, _ in known]
    lines += ["", "What the proofs mean:", ""]
    lines += [f"- **{proof.value}**: {meaning}." for proof, meaning in PROOFS.items()]
    for facts, guarantees in known:
        lines += ["", f"## {facts['venue']}", "", *(f"- {sentence}" for sentence in guarantees)]
        lines += ["", "| | |", "|---|---|"]
        lines += [f"| {name} | `{value}` |" for name, value in facts.items() if name != "venue"]
    return "\n".join(lines) + "\n"


def facts_of(venue: Venue) -> dict[str, str]:
    """One venue's row, by column."""
    ids = venue.ids
    return {
        "venue": venue.name,
        "proof": venue.proof.value,
        "trades": venue.market.value,
        "sandbox": _sandbox(venue),
        "client id": f"{ids.create}: {ids.pattern}",
        "look-up": _look_up(venue),
        "cancel by": ids.cancel if ids.cancel_by is Address.PARAMETER else ids.cancel_by.value,
        "place answers": _reply(venue.place_reply),
        "cancel answers": _reply(venue.cancel_reply),
        "post-only": venue.post_only_wire,
        "batch": f"{venue.create_batch or '–'} / {venue.cancel_batch or '–'}",
        "cancel-all": venue.cancel_all.value,
        "dead-man switch": _dead_man_switch(venue),
        "request expiry": _expiry(venue),
        "own trades of an order": venue.trades.order or "picked from all",
        "account events": " and ".join(venue.user_streams) or "polled",
    }


def guarantees_of(venue: Venue) -> tuple[str, ...]:
    """What follows for whoever trades there, in sentences."""
    stray = (
        f"A request that comes late is refused by the venue ({venue.expiry.name})."
        if venue.expiry is not None
        else "Nothing expires a request that was held up: a stray order is possible, and is "
        "cancelled on sight."
    )
    return stray, _when_host_dies(venue), *venue.notes


def _when_host_dies(venue: Venue) -> str:
    switch = venue.dead_man_switch
    if switch is not None and switch.is_fed:
        return (
            "If this host dies, the venue cancels the orders of its symbols, a person's too, "
            "once it heard nothing of a node for `dead_man_switch_s`, or for longer where the "
            f"account has many symbols ({switch.name})."
        )
    why = "has no dead-man switch"
    if switch is not None:
        why = f"has a dead-man switch ({switch.name}), which is not armed"
    return f"If this host dies, its orders rest until it is back: the venue {why}."


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sandbox(venue: Venue) -> str:
    return "none: live only" if venue.sandbox is Sandbox.NONE else venue.sandbox.value


def _look_up(venue: Venue) -> str:
    ids = venue.ids
    how = ids.look_up.value
    if ids.look_up_by is Address.IN_PLACE_OF_ID:
        return f"{how}, {ids.look_up_by.value}"
    if ids.look_up is LookUp.LISTS and ids.fetch is None:
        return f"{how}, picked from all"
    return f"{how}, {ids.fetch}"


def _reply(reply: Reply) -> str:
    return f"{reply.value}; looked up" if reply is Reply.RECEIPT else reply.value


def _dead_man_switch(venue: Venue) -> str:
    switch = venue.dead_man_switch
    return "none" if switch is None else f"{switch.name}, {switch.least_s}–{switch.most_s} s"


def _expiry(venue: Venue) -> str:
    return "nothing expires" if venue.expiry is None else venue.expiry.name
