"""Which node is to run which symbol: pure, so that every node that decides decides the same.

Symbols stay where they are unless that is impossible, an operator says otherwise, or moving one
makes the fullest node less full than the other becomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from store.nodes import ExecutorId, Member, Placed

#: A node whose heartbeats did not reach the exchange for so long loses its symbols to one that
#: does; streams that are merely opened again take less.
EXCHANGE_PATIENCE_S = 10.0
#: Symbols moved for balance in one round, so that most of them trade at any moment.
MOVES_A_ROUND = 4


def find_homes(
    members: Sequence[Member], placed: Sequence[Placed], *, leaving: ExecutorId | None = None
) -> dict[int, ExecutorId]:
    """A node for each shard for which there is one.

    Parameters
    ----------
    members : sequence of Member
        Nodes that live.
    leaving : ExecutorId, optional
        The one of them that is about to stop.
    """
    takers = _takers([member for member in members if member.executor_id != leaving])
    rooms = {taker.executor_id: _Room(taker.capacity) for taker in takers}
    homes: dict[int, ExecutorId] = {}
    for symbol in placed:
        home = _settled(symbol, takers)
        if home is not None and rooms[home].has_place:
            homes[symbol.shard] = home
            rooms[home].taken += 1
    for symbol in placed:
        if symbol.shard not in homes and (home := _emptiest(rooms)) is not None:
            homes[symbol.shard] = home
            rooms[home].taken += 1
    _balance(homes, rooms, _pinned(placed, takers))
    return homes


def whereabouts(members: Sequence[Member], placed: Sequence[Placed]) -> dict[int, ExecutorId]:
    """Where symbols are, or else were sent last, as far as that lives.

    There they stay when no node may take them: whoever is told of another home lets go.
    """
    alive = {member.executor_id for member in members}
    return {
        symbol.shard: here
        for symbol in placed
        for here in (symbol.placed_on, symbol.owner)  # the last one stands
        if here in alive
    }


class _Room:
    """How full a node is."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.taken = 0

    @property
    def has_place(self) -> bool:
        return self.taken < self._capacity

    @property
    def fullness(self) -> Fraction:
        return Fraction(self.taken, self._capacity)

    @property
    def fullness_with_one_more(self) -> Fraction:
        return Fraction(self.taken + 1, self._capacity)


def _takers(members: Sequence[Member]) -> list[Member]:
    """Nodes that may run symbols: those that reach the exchange, or all if none does."""
    open_ones = [member for member in members if not member.is_draining]
    connected = [member for member in open_ones if _reaches_exchange(member)]
    return connected or open_ones


def _reaches_exchange(member: Member) -> bool:
    return member.exchange_lost_s is not None and member.exchange_lost_s < EXCHANGE_PATIENCE_S


def _settled(symbol: Placed, takers: Sequence[Member]) -> ExecutorId | None:
    """Where it stays: on a node an operator chose, or else where it is."""
    by_name = [taker.executor_id for taker in takers if taker.name == symbol.pinned_to]
    here = by_name or [taker.executor_id for taker in takers]
    if symbol.placed_on in here:
        return symbol.placed_on
    return min(by_name, default=None)


def _pinned(placed: Sequence[Placed], takers: Sequence[Member]) -> set[int]:
    names = {taker.name for taker in takers}
    return {symbol.shard for symbol in placed if symbol.pinned_to in names}


def _emptiest(rooms: Mapping[ExecutorId, _Room]) -> ExecutorId | None:
    free = [executor_id for executor_id, room in rooms.items() if room.has_place]
    return min(free, key=lambda each: (rooms[each].fullness_with_one_more, each), default=None)


def _balance(
    homes: dict[int, ExecutorId], rooms: Mapping[ExecutorId, _Room], pinned: set[int]
) -> None:
    """Move a few symbols that may move from the fullest node to the emptiest."""
    for _ in range(MOVES_A_ROUND):
        to = _emptiest(rooms)
        movable = {home for shard, home in homes.items() if shard not in pinned}
        fullest = max(movable, key=lambda each: (rooms[each].fullness, each), default=None)
        if (
            to is None
            or fullest is None
            or rooms[fullest].fullness <= rooms[to].fullness_with_one_more
        ):
            return
        moved = max(
            shard for shard, home in homes.items() if home == fullest and shard not in pinned
        )
        homes[moved] = to
        rooms[fullest].taken -= 1
        rooms[to].taken += 1
