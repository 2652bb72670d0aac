"""Where prices come from: a seeded synthetic walk, or a recording; both as endless event streams.

A stream yields `(due_ms, event)` with due times counted from its own beginning, so one seed
always gives one sequence; `Feed` plays it against a clock that may stop.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from simulator.symbols import Rules, SymbolConfig
from simulator.units import parse_e8

#: A process that was paused does not get more than this at once when it returns.
CATCH_UP_MAX_MS = 1_000.0
LEVELS = 10

_PPB = 10**9
#: The centre stays within 20 % of the start.
_CENTRE_MAX_PPB = _PPB // 5


@dataclass(frozen=True, slots=True)
class Quote:
    """The market's best prices and the quantities shown there."""

    bid_e8: int
    bid_quantity_e8: int
    ask_e8: int
    ask_quantity_e8: int


@dataclass(frozen=True, slots=True)
class Print:
    """A trade of the market."""

    price_e8: int
    quantity_e8: int
    buyer_is_maker: bool


MarketEvent = Quote | Print
Event = TypeVar("Event", Quote, Print, MarketEvent)
Events = Iterator[tuple[float, MarketEvent]]


class Feed:
    """Plays one symbol's events as its own clock advances, shifted by whole ticks."""

    def __init__(self, events: Events, tick_e8: int, *, start_price_e8: int | None = None) -> None:
        self._events = events
        self._tick_e8 = tick_e8
        self._clock_ms = 0.0
        self._next = next(events)
        self._shift_e8 = 0
        self._start_price_e8 = start_price_e8
        self._last: Quote | None = None
        self.frozen = False

    @property
    def mid_e8(self) -> int | None:
        """Middle of the last quote, floored to the tick."""
        if self._last is None:
            return None
        return _floor((self._last.bid_e8 + self._last.ask_e8) // 2, self._tick_e8)

    def advance(self, elapsed_ms: float) -> Iterator[MarketEvent]:
        """Events that fall due within the elapsed time; none while frozen."""
        if self.frozen:
            return
        self._clock_ms += min(elapsed_ms, CATCH_UP_MAX_MS)
        while self._next[0] <= self._clock_ms:
            event = self._next[1]
            self._next = next(self._events)
            yield self._placed(event)

    def move_to(self, price_e8: int) -> Quote:
        """Shift the market so that its middle is at this price, from now on."""
        if self._last is None or self.mid_e8 is None:
            msg = "the market has not started yet"
            raise ValueError(msg)
        if price_e8 <= 0 or price_e8 % self._tick_e8:
            msg = f"the price must be on a tick of {self._tick_e8}, was {price_e8}"
            raise ValueError(msg)
        delta_e8 = price_e8 - self.mid_e8
        self._shift_e8 += delta_e8
        self._last = _shifted(self._last, delta_e8)
        return self._last

    def _placed(self, event: MarketEvent) -> MarketEvent:
        if self._start_price_e8 is not None and isinstance(event, Quote):
            self._shift_e8 = self._start_price_e8 - _floor(
                (event.bid_e8 + event.ask_e8) // 2, self._tick_e8
            )
            self._start_price_e8 = None
        placed = _shifted(event, self._shift_e8)
        if isinstance(placed, Quote):
            self._last = placed
        return placed


def synthetic(config: SymbolConfig, *, seed: int | str) -> Events:
    """A price that wobbles around a slowly walking centre, with trades that carry it.

    The wobble is an Ornstein-Uhlenbeck process in integer parts per billion, so that a grid of
    a few basis points sees complete round trips within seconds.
    """
    dice = random.Random(f"{seed}:{config.name}")  # nosec B311  # repeatable, not secret
    rules = Rules.of(config)
    start_e8 = parse_e8(format(config.start_price, "f"))
    shown_e8 = parse_e8(format(config.displayed_quantity, "f"))
    period_ms = 1000.0 / config.ticks_per_s
    memory_ticks = max(2, int(config.reversion_s * config.ticks_per_s))
    # Uniform steps of ±w have variance w²/3; the process then has deviation w·sqrt(memory/6).
    deviation_ppb = int(config.volatility_bps * (_PPB // 10_000))
    width_ppb = max(1, math.isqrt(6 * deviation_ppb**2 // memory_ticks))
    wobble_ppb = centre_ppb = 0
    last_bid_e8 = start_e8
    for tick in itertools.count():
        wobble_ppb += dice.randint(-width_ppb, width_ppb) - wobble_ppb // memory_ticks
        centre_ppb += dice.randint(-width_ppb, width_ppb) // 50
        centre_ppb = max(-_CENTRE_MAX_PPB, min(_CENTRE_MAX_PPB, centre_ppb))
        bid_e8 = _floor(start_e8 * (_PPB + centre_ppb + wobble_ppb) // _PPB, rules.tick_e8)
        ask_e8 = bid_e8 + config.spread_ticks * rules.tick_e8
        due_ms = tick * period_ms
        traded_e8 = _share(shown_e8, dice.randint(5, 150), rules.step_e8)
        if bid_e8 > last_bid_e8:
            yield due_ms, Print(bid_e8, traded_e8, buyer_is_maker=False)
        elif bid_e8 < last_bid_e8:
            yield due_ms, Print(ask_e8, traded_e8, buyer_is_maker=True)
        elif dice.random() < 0.5:
            buyer_is_maker = dice.random() < 0.5
            yield due_ms, Print(bid_e8 if buyer_is_maker else ask_e8, traded_e8, buyer_is_maker)
        last_bid_e8 = bid_e8
        yield (
            due_ms,
            Quote(
                bid_e8=bid_e8,
                bid_quantity_e8=_share(shown_e8, dice.randint(50, 150), rules.step_e8),
                ask_e8=ask_e8,
                ask_quantity_e8=_share(shown_e8, dice.randint(50, 150), rules.step_e8),
            ),
        )


def ladder(quote: Quote, tick_e8: int, deeper_e8: int) -> tuple[dict[int, int], dict[int, int]]:
    """Displayed depth around a quote: behind the best, level k shows k times `deeper_e8`."""
    bids = {quote.bid_e8: quote.bid_quantity_e8}
    asks = {quote.ask_e8: quote.ask_quantity_e8}
    for level in range(1, LEVELS):
        if quote.bid_e8 > level * tick_e8:
            bids[quote.bid_e8 - level * tick_e8] = level * deeper_e8
        asks[quote.ask_e8 + level * tick_e8] = level * deeper_e8
    return bids, asks


def snapped(event: Event, rules: Rules) -> Event:
    """Onto the rules' ticks and steps, away from the other side: rules may have changed since."""
    tick_e8, step_e8 = rules.tick_e8, rules.step_e8
    if isinstance(event, Quote):
        return replace(
            event,
            bid_e8=_floor(event.bid_e8, tick_e8),
            bid_quantity_e8=max(step_e8, _floor(event.bid_quantity_e8, step_e8)),
            ask_e8=_ceiling(event.ask_e8, tick_e8),
            ask_quantity_e8=max(step_e8, _floor(event.ask_quantity_e8, step_e8)),
        )
    onto = _floor if event.buyer_is_maker else _ceiling
    return replace(
        event,
        price_e8=onto(event.price_e8, tick_e8),
        quantity_e8=_floor(event.quantity_e8, step_e8),
    )


def _shifted(event: Event, shift_e8: int) -> Event:
    if shift_e8 == 0:
        return event
    if isinstance(event, Quote):
        return replace(event, bid_e8=event.bid_e8 + shift_e8, ask_e8=event.ask_e8 + shift_e8)
    return replace(event, price_e8=event.price_e8 + shift_e8)


def _share(amount_e8: int, percent: int, step_e8: int) -> int:
    return max(step_e8, _floor(amount_e8 * percent // 100, step_e8))


def _floor(amount_e8: int, unit_e8: int) -> int:
    return amount_e8 - amount_e8 % unit_e8


def _ceiling(amount_e8: int, unit_e8: int) -> int:
    return -_floor(-amount_e8, unit_e8)
