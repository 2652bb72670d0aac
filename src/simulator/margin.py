"""An account's margin at the mark prices: what it may still open, and what ends its positions."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.futures_state import FuturesState
from simulator.positions import Carried, Position, carried, liquidation_price_e8
from simulator.records import OrderType, Side
from simulator.units import notional_e8

Opening = tuple[str, Side, int]  # symbol, side and notional of an order that may open


@dataclass(frozen=True, slots=True)
class Standing:
    """One settlement asset of one account."""

    wallet_e8: int
    isolated_e8: int
    positions: Mapping[str, Position]
    carried: Mapping[str, Carried]

    @property
    def cross_wallet_e8(self) -> int:
        return self.wallet_e8 - self.isolated_e8

    @property
    def unrealised_e8(self) -> int:
        return sum(item.unrealised_e8 for item in self.carried.values())

    @property
    def cross_unrealised_e8(self) -> int:
        return sum(item.unrealised_e8 for item in self._cross().values())

    @property
    def margin_e8(self) -> int:
        return self.wallet_e8 + self.unrealised_e8

    @property
    def initial_e8(self) -> int:
        return sum(item.initial_e8 for item in self.carried.values())

    @property
    def maintenance_e8(self) -> int:
        return sum(item.maintenance_e8 for item in self.carried.values())

    @property
    def cross_maintenance_e8(self) -> int:
        return sum(item.maintenance_e8 for item in self._cross().values())

    @property
    def free_e8(self) -> int:
        """What is left for new positions; below zero once profit turned to loss."""
        bound_e8 = sum(
            item.orders_initial_e8 if self.positions[symbol].isolated else item.initial_e8
            for symbol, item in self.carried.items()
        )
        return self.cross_wallet_e8 + self.cross_unrealised_e8 - bound_e8

    @property
    def available_e8(self) -> int:
        return max(0, self.free_e8)

    @property
    def withdrawable_e8(self) -> int:
        """Unrealised profit cannot be taken out."""
        return max(0, min(self.free_e8, self.cross_wallet_e8))

    def backing_e8(self, symbol: str) -> int:
        """What stands behind a position apart from its own profit, down to zero."""
        position = self.positions[symbol]
        if position.isolated:
            return position.isolated_e8
        return self.cross_wallet_e8 + self.cross_unrealised_e8 - self.carried[symbol].unrealised_e8

    def liquidation_price_e8(self, symbol: str, mark_e8: int) -> int:
        position = self.positions[symbol]
        margin_e8 = self.backing_e8(symbol)
        if not position.isolated:
            margin_e8 -= self.cross_maintenance_e8 - self.carried[symbol].maintenance_e8
        return liquidation_price_e8(position, mark_e8, margin_e8)

    def endangered(self) -> list[str]:
        """Symbols whose positions are no longer carried, the greatest first."""
        ended: list[str] = []
        cross_ends = self.cross_wallet_e8 + self.cross_unrealised_e8 <= self.cross_maintenance_e8
        for symbol, item in self.carried.items():
            position = self.positions[symbol]
            if position.quantity_e8 == 0:
                continue
            isolated_ends = position.isolated_e8 + item.unrealised_e8 <= item.maintenance_e8
            if isolated_ends if position.isolated else cross_ends:
                ended.append(symbol)
        return sorted(ended, key=lambda symbol: -self.carried[symbol].maintenance_e8)

    def _cross(self) -> dict[str, Carried]:
        return {
            symbol: item
            for symbol, item in self.carried.items()
            if not self.positions[symbol].isolated
        }


def standing(
    state: FuturesState,
    marks_e8: Mapping[str, int],
    account: str,
    asset: str,
    *openings: Opening,
    without_order_id: tuple[str, int] | None = None,
) -> Standing:
    """The standing, as it would be with more orders, or without one that is being replaced."""
    positions = {
        symbol: position
        for symbol, position in state.positions(account).items()
        if state.rules[symbol].quote == asset
    }
    margins: dict[str, Carried] = {}
    for symbol, position in positions.items():
        orders = [
            (order.side, notional_e8(order.price_e8, order.remaining_e8))
            for order in state.open_orders[symbol].values()
            if order.account == account
            and not order.reduce_only
            and order.type is not OrderType.MARKET
            and (symbol, order.order_id) != without_order_id
        ]
        orders += [(side, quote_e8) for name, side, quote_e8 in openings if name == symbol]
        # Right after a start a market may not have shown a price yet.
        mark_e8 = marks_e8.get(symbol) or position.entry_price_e8
        margins[symbol] = carried(position, mark_e8, orders)
    return Standing(
        wallet_e8=state.wallets_e8[account][asset],
        isolated_e8=sum(position.isolated_e8 for position in positions.values()),
        positions=positions,
        carried=margins,
    )
