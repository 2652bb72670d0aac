"""One symbol's book: the market's displayed levels, and our resting orders with their queues.

How an order is matched:

- A resting order joins behind the quantity the market displays at its price at that moment. At a
  price where nothing is displayed (better than the best, or deeper than the displayed depth) it
  is first.
- A market trade at its price, by an aggressor of the other side, first uses up the queue ahead;
  what is left fills it. A trade through its price fills it whatever the queue. One trade's
  quantity is shared by all resting orders in price-time order and is never spent twice.
- When the market displays less at its price than was ahead of it, the queue ahead shrinks to that.
- An order that takes walks the displayed levels; what it takes is gone until the market shows
  that level anew. Accounts trade with the market only, never with one another. Where it meets
  a resting order of its own account, that order expires, which is the venue's default.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from simulator.records import Side
from simulator.units import UNIT, notional_e8

Levels = Mapping[int, int]  # price -> quantity, best first, both in 1e-8


@dataclass(slots=True, eq=False)
class Resting:
    """An order of ours on the book."""

    order_id: int
    account: str
    side: Side
    price_e8: int
    remaining_e8: int
    queue_ahead_e8: int


@dataclass(frozen=True, slots=True)
class Match:
    """A quantity that changed hands at a price; for a resting order its id says which."""

    order_id: int
    price_e8: int
    quantity_e8: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a taking order got, and which orders of its own account it met."""

    parts: tuple[tuple[int, int], ...]  # (price, quantity) in the order taken
    met_own: tuple[int, ...]


class Book:
    """The market's displayed book of one symbol and our orders resting in it."""

    def __init__(self, update_id: int) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        #: Grows by one with every change of the displayed levels.
        self.update_id = update_id
        self._touched: set[tuple[Side, int]] = set()
        self._reported_id = update_id
        self._orders: dict[int, Resting] = {}
        self._priority: dict[Side, list[Resting]] = {Side.BUY: [], Side.SELL: []}

    def displayed(self, side: Side) -> dict[int, int]:
        return self.bids if side is Side.BUY else self.asks

    def best(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Best bid and ask as (price, quantity); zeros where a side is empty."""
        nothing = (0, 0)
        return next(iter(self.bids.items()), nothing), next(iter(self.asks.items()), nothing)

    def display(self, bids: Levels, asks: Levels) -> None:
        """Replace the displayed levels; queues ahead shrink to what is shown."""
        changed = self._replace(Side.BUY, bids) | self._replace(Side.SELL, asks)
        if not changed:
            return
        self._touched |= changed
        self.update_id += 1
        for order in self._orders.values():
            if order.queue_ahead_e8:
                shown = self._shown(order.side, order.price_e8)
                if shown is not None and shown < order.queue_ahead_e8:
                    order.queue_ahead_e8 = shown

    def changes(self) -> tuple[int, set[tuple[Side, int]]]:
        """First update id and touched prices since the last call."""
        first_id, self._reported_id = self._reported_id + 1, self.update_id
        touched, self._touched = self._touched, set()
        return first_id, touched

    def rest(
        self, order_id: int, account: str, side: Side, price_e8: int, quantity_e8: int
    ) -> Resting:
        order = Resting(
            order_id=order_id,
            account=account,
            side=side,
            price_e8=price_e8,
            remaining_e8=quantity_e8,
            queue_ahead_e8=self.displayed(side).get(price_e8, 0),
        )
        self._orders[order_id] = order
        sign = -1 if side is Side.BUY else 1
        # insort keeps equal prices in order of arrival
        insort(self._priority[side], order, key=lambda resting: sign * resting.price_e8)
        return order

    def remove(self, order_id: int) -> None:
        order = self._orders.pop(order_id)
        self._priority[order.side].remove(order)

    def discard(self, order_id: int) -> None:
        """Remove an order if it is there: one that takes never was."""
        if order_id in self._orders:
            self.remove(order_id)

    def limit(self, order_id: int, quantity_e8: int) -> None:
        """Let a resting order trade so much and no more; its place in the queue stays."""
        if order_id in self._orders:
            self._orders[order_id].remaining_e8 = quantity_e8

    def resting(self, side: Side) -> Iterable[Resting]:
        """Resting orders of one side in price-time order."""
        return tuple(self._priority[side])

    def passed_by(self, price_e8: int, *, rising: bool) -> list[Resting]:
        """Orders that a market moving up (or down) to a price trades through, nearest first."""
        orders = self._priority[Side.SELL if rising else Side.BUY]
        if rising:
            return [order for order in orders if order.price_e8 < price_e8]
        return [order for order in orders if order.price_e8 > price_e8]

    def would_take(self, account: str, side: Side, price_e8: int) -> bool:
        """Whether an order at this price would meet the market or its own account's orders."""
        best = next(iter(self.displayed(side.opposite)), None)
        if best is not None and _reaches(side, price_e8, best):
            return True
        return next(self._own_against(account, side, price_e8), None) is not None

    def available_e8(self, side: Side, price_e8: int | None) -> int:
        """Displayed quantity a taker of this side could get at its limit."""
        return sum(
            quantity
            for price, quantity in self.displayed(side.opposite).items()
            if price_e8 is None or _reaches(side, price_e8, price)
        )

    def take(self, account: str, side: Side, limit_e8: int | None, quantity_e8: int) -> Taken:
        """Walk the displayed levels up to a limit price (None: as far as they go)."""
        own = list(self._own_against(account, side, limit_e8))
        met_own: list[int] = []
        parts: list[tuple[int, int]] = []
        left = quantity_e8
        levels = self.displayed(side.opposite)
        for price, shown in tuple(levels.items()):
            if left == 0 or (limit_e8 is not None and not _reaches(side, limit_e8, price)):
                break
            while own and _reaches(side, price, own[0].price_e8):
                met_own.append(own.pop(0).order_id)
            quantity = min(left, shown)
            left -= quantity
            parts.append((price, quantity))
            if quantity == shown:
                del levels[price]
            else:
                levels[price] = shown - quantity
            self._touched.add((side.opposite, price))
        if left:
            met_own.extend(order.order_id for order in own)
        if parts:
            self.update_id += 1
        return Taken(tuple(parts), tuple(met_own))

    def cost_e8(self, side: Side, quantity_e8: int) -> int:
        """Quote amount that a quantity costs against the displayed levels, as far as they go."""
        left, cost = quantity_e8, 0
        for price, shown in self.displayed(side.opposite).items():
            quantity = min(left, shown)
            cost += notional_e8(price, quantity)
            left -= quantity
        return cost

    def cost_to_quantity_e8(self, side: Side, quote_e8: int, step_e8: int) -> int:
        """Whole steps that a quote amount trades against the displayed levels."""
        left, total = quote_e8, 0
        for price, shown in self.displayed(side.opposite).items():
            affordable = left * UNIT // price
            quantity = min(shown, affordable)
            total += quantity
            left -= notional_e8(price, quantity)
            if quantity < shown:
                break
        return total - total % step_e8

    def trade(self, price_e8: int, quantity_e8: int, *, buyer_is_maker: bool) -> Iterator[Match]:
        """Share one market trade among the resting orders it reaches; filled ones leave.

        Orders may be removed or limited between two matches.
        """
        left = quantity_e8
        for side in Side:
            queue_spent = 0
            for order in tuple(self._priority[side]):
                if not _reaches(side, order.price_e8, price_e8):
                    break
                if order.order_id not in self._orders:
                    continue
                if order.price_e8 == price_e8:
                    if buyer_is_maker is not side.is_buy:
                        break
                    # Market volume ahead of an earlier order of ours is ahead of this one too.
                    waiting = max(0, order.queue_ahead_e8 - queue_spent)
                    spent = min(waiting, left)
                    left -= spent
                    queue_spent += spent
                    order.queue_ahead_e8 = max(0, order.queue_ahead_e8 - queue_spent)
                    if order.queue_ahead_e8:
                        continue
                quantity = min(order.remaining_e8, left)
                if quantity == 0:
                    continue
                left -= quantity
                order.remaining_e8 -= quantity
                order.queue_ahead_e8 = 0
                if order.remaining_e8 == 0:
                    self.remove(order.order_id)
                yield Match(order.order_id, order.price_e8, quantity)

    def _replace(self, side: Side, levels: Levels) -> set[tuple[Side, int]]:
        shown = self.displayed(side)
        changed = {
            (side, price) for price, quantity in levels.items() if shown.get(price) != quantity
        }
        changed |= {(side, price) for price in shown if price not in levels}
        if side is Side.BUY:
            self.bids = dict(levels)
        else:
            self.asks = dict(levels)
        return changed

    def _shown(self, side: Side, price_e8: int) -> int | None:
        """Quantity shown at a price: 0 inside the displayed range, None deeper than it."""
        levels = self.displayed(side)
        if price_e8 in levels:
            return levels[price_e8]
        if not levels:
            return None
        deepest = next(reversed(levels))
        deeper = price_e8 < deepest if side is Side.BUY else price_e8 > deepest
        return None if deeper else 0

    def _own_against(self, account: str, side: Side, limit_e8: int | None) -> Iterator[Resting]:
        for order in self._priority[side.opposite]:
            if limit_e8 is not None and not _reaches(side, limit_e8, order.price_e8):
                return
            if order.account == account:
                yield order


def _reaches(side: Side, limit_e8: int, price_e8: int) -> bool:
    """Whether an order of this side with this limit may trade at this price."""
    return price_e8 <= limit_e8 if side is Side.BUY else price_e8 >= limit_e8
