"""Which way a slot trades."""

from __future__ import annotations

from enum import IntEnum

from domain.ids import Purpose, Side

#: Purposes that add to a position; all others lower it.
OPENING = frozenset({Purpose.ENTRY, Purpose.INITIAL})


class Role(IntEnum):
    """What a slot does first; the value is the sign of its inventory.

    A long slot is flat → buys at its lower level → long → sells at its upper level → flat; a short
    slot is flat → sells at its upper level → short → buys back at its lower level → flat.
    """

    LONG = 1
    SHORT = -1

    @property
    def entry_side(self) -> Side:
        return Side.BUY if self is Role.LONG else Side.SELL

    @property
    def exit_side(self) -> Side:
        return self.entry_side.opposite

    @staticmethod
    def of_order(side: Side, purpose: Purpose) -> Role:
        """The role of the slot that has such an order."""
        return Role.LONG if (side is Side.BUY) is (purpose in OPENING) else Role.SHORT
