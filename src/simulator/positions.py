"""One-way positions in integers: entry, realised profit, margin, the prices that end them.

A position is a signed quantity and its signed cost, the sum of what its open part was traded for.
Both are exact, so `cost = Σ signed notionals + Σ realised profit` holds to the last 1e-8.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.records import Side
from simulator.units import UNIT, ceil_div, notional_e8

LEVERAGE_DEFAULT = 20


@dataclass(frozen=True, slots=True)
class Bracket:
    """A range of notionals, above `floor_e8`, with its greatest leverage and maintenance rate."""

    number: int
    floor_e8: int
    cap_e8: int
    leverage_max: int
    maintenance_rate_e8: int
    #: What to take off so that maintenance margin does not jump from one bracket to the next.
    deduction_e8: int


def _brackets(*rows: tuple[int, int, int]) -> tuple[Bracket, ...]:
    """From (cap in quote, greatest leverage, maintenance rate in hundredths of a percent)."""
    brackets: list[Bracket] = []
    floor_e8 = rate_before_e8 = deduction_e8 = 0
    for number, (cap, leverage_max, rate_bp) in enumerate(rows, start=1):
        rate_e8 = rate_bp * UNIT // 10_000
        deduction_e8 += notional_e8(floor_e8, rate_e8 - rate_before_e8)
        brackets.append(Bracket(number, floor_e8, cap * UNIT, leverage_max, rate_e8, deduction_e8))
        floor_e8, rate_before_e8 = cap * UNIT, rate_e8
    return tuple(brackets)


#: The simulator's own table, the same for every contract.
BRACKETS = _brackets(
    (50_000, 125, 40),
    (250_000, 100, 50),
    (1_000_000, 50, 100),
    (10_000_000, 20, 250),
    (50_000_000, 10, 500),
    (100_000_000, 5, 1_000),
    (300_000_000, 2, 2_500),
    (1_000_000_000, 1, 5_000),
)
LEVERAGE_MAX = max(bracket.leverage_max for bracket in BRACKETS)


@dataclass(slots=True)
class Position:
    """An account's position in one contract and how it carries it."""

    quantity_e8: int = 0
    cost_e8: int = 0
    leverage: int = LEVERAGE_DEFAULT
    isolated: bool = False
    #: Part of the wallet that stands for this position alone.
    isolated_e8: int = 0
    #: Profit and loss of everything closed so far, before fees.
    realised_e8: int = 0
    update_ms: int = 0

    @property
    def entry_price_e8(self) -> int:
        """Average price of the open part, floored to 1e-8."""
        return abs(self.cost_e8) * UNIT // abs(self.quantity_e8) if self.quantity_e8 else 0

    def closable_e8(self, side: Side) -> int:
        """How much an order of this side could close."""
        return max(0, -side.sign * self.quantity_e8)

    def notional_e8(self, mark_e8: int) -> int:
        """Signed worth at a price."""
        worth_e8 = notional_e8(mark_e8, abs(self.quantity_e8))
        return worth_e8 if self.quantity_e8 >= 0 else -worth_e8

    def unrealised_e8(self, mark_e8: int) -> int:
        return self.notional_e8(mark_e8) - self.cost_e8

    def realised_by(self, side: Side, quantity_e8: int, quote_e8: int) -> int:
        """Profit that a fill would realise."""
        return self._closing(side, quantity_e8, quote_e8)[2]

    def trade(self, side: Side, quantity_e8: int, quote_e8: int) -> int:
        """Take a fill: close first, open with the rest; return the profit realised."""
        closed_e8, closed_quote_e8, realised_e8 = self._closing(side, quantity_e8, quote_e8)
        if closed_e8:
            self.isolated_e8 -= self.isolated_e8 * closed_e8 // abs(self.quantity_e8)
        self.quantity_e8 += side.sign * quantity_e8
        self.cost_e8 += side.sign * quote_e8 + realised_e8
        self.realised_e8 += realised_e8
        if self.isolated:
            self.isolated_e8 += ceil_div(quote_e8 - closed_quote_e8, self.leverage)
        return realised_e8

    def _closing(self, side: Side, quantity_e8: int, quote_e8: int) -> tuple[int, int, int]:
        """Quantity and quote of the part of a fill that closes, and the profit it realises."""
        closed_e8 = min(quantity_e8, self.closable_e8(side))
        if closed_e8 == 0:
            return 0, 0, 0
        closed_quote_e8 = quote_e8 * closed_e8 // quantity_e8
        cost_e8 = self.cost_e8 * closed_e8 // abs(self.quantity_e8)
        return closed_e8, closed_quote_e8, -side.sign * closed_quote_e8 - cost_e8


@dataclass(frozen=True, slots=True)
class Carried:
    """What a position and the open orders of its contract need at a mark price."""

    notional_e8: int
    unrealised_e8: int
    bids_e8: int
    asks_e8: int
    position_initial_e8: int
    #: Initial margin of the greater exposure that the open orders could lead to.
    initial_e8: int
    maintenance_e8: int

    @property
    def exposure_e8(self) -> int:
        """Notional if every bid, or every ask, was filled; whichever is more."""
        return max(abs(self.notional_e8 + self.bids_e8), abs(self.notional_e8 - self.asks_e8))

    @property
    def orders_initial_e8(self) -> int:
        return self.initial_e8 - self.position_initial_e8


def carried(position: Position, mark_e8: int, orders: Iterable[tuple[Side, int]]) -> Carried:
    """`orders` are the sides and notionals of the open orders that may open a position."""
    bids_e8 = asks_e8 = 0
    for side, quote_e8 in orders:
        if side.is_buy:
            bids_e8 += quote_e8
        else:
            asks_e8 += quote_e8
    worth_e8 = position.notional_e8(mark_e8)
    exposure_e8 = max(abs(worth_e8 + bids_e8), abs(worth_e8 - asks_e8))
    return Carried(
        notional_e8=worth_e8,
        unrealised_e8=position.unrealised_e8(mark_e8),
        bids_e8=bids_e8,
        asks_e8=asks_e8,
        position_initial_e8=ceil_div(abs(worth_e8), position.leverage),
        initial_e8=ceil_div(exposure_e8, position.leverage),
        maintenance_e8=maintenance_e8(abs(worth_e8)),
    )


def bracket_of(worth_e8: int) -> Bracket:
    for bracket in BRACKETS:
        if worth_e8 <= bracket.cap_e8:
            return bracket
    return BRACKETS[-1]


def notional_max_e8(leverage: int) -> int:
    """The greatest notional that may be carried at a leverage."""
    return max(bracket.cap_e8 for bracket in BRACKETS if leverage <= bracket.leverage_max)


def maintenance_e8(worth_e8: int) -> int:
    """Maintenance margin of a notional, rounded up."""
    bracket = bracket_of(worth_e8)
    return ceil_div(worth_e8 * bracket.maintenance_rate_e8, UNIT) - bracket.deduction_e8


def liquidation_price_e8(position: Position, mark_e8: int, margin_e8: int) -> int:
    """Price at which what backs a position equals its maintenance margin; 0 if there is none.

    `margin_e8` is what backs it apart from its own profit: its isolated margin, or the cross wallet
    with the profit of the other positions and without their maintenance margin. The rate is that
    of the notional at the mark price, as on the venue.
    """
    quantity_e8 = position.quantity_e8
    if quantity_e8 == 0:
        return 0
    bracket = bracket_of(abs(position.notional_e8(mark_e8)))
    missing_e8 = position.cost_e8 - margin_e8 - bracket.deduction_e8
    rate_e8 = bracket.maintenance_rate_e8
    per_unit_e8 = quantity_e8 * UNIT - abs(quantity_e8) * rate_e8
    return max(0, missing_e8 * UNIT * UNIT // per_unit_e8)


def bankruptcy_price_e8(position: Position, margin_e8: int, tick_e8: int) -> int:
    """Price at which closing leaves nothing of the margin, on the tick that leaves no debt."""
    exact_e8 = position.cost_e8 - margin_e8
    if position.quantity_e8 > 0:
        price_e8 = ceil_div(exact_e8 * UNIT, position.quantity_e8)
        price_e8 = ceil_div(price_e8, tick_e8) * tick_e8
    else:
        price_e8 = exact_e8 * UNIT // position.quantity_e8
        price_e8 -= price_e8 % tick_e8
    return max(tick_e8, price_e8)
