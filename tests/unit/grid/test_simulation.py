"""A random walk with partial fills, racing cancels, unknown outcomes and late fills."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.ids import Side
from domain.instrument import MarketKind
from domain.orders import Unknown
from domain.plans import Plan
from grid.desired import Stance, desired_orders
from grid.phase import Phase, Stage
from grid.plan import diff
from grid.profit import total_profit
from grid.quiet import quiet_band
from grid.role import Role
from risk.gate import review
from risk.limits import Exposure, RiskLimits, RoleExposure, RoleLimits
from unit.grid.factories import INTENTS, make_book, make_instrument, make_spec
from unit.grid.shard_model import Answer, ShardModel, after

#: Two lots at 100 are dust.
INSTRUMENT = make_instrument(min_notional=Decimal(25), maker_fee=Decimal("0.00075"))
ANSWERS = st.sampled_from(["accepted", "accepted", "unknown but accepted", "unknown and lost"])
UNLIMITED = RoleLimits(
    max_position_units=10**30, max_open_entry_units=10**30, max_order_units=10**30
)
LIMITS = RiskLimits(
    roles=dict.fromkeys(Role, UNLIMITED),
    max_open_orders=10**6,
    orders_per_minute=10**6,
    price_collar=Decimal("0.05"),
)
NOTHING_USED = Exposure(
    roles=dict.fromkeys(Role, RoleExposure()), open_orders=0, orders_last_minute=0
)
STANCES = [Stance.TRADE, Stance.TRADE, Stance.TRADE, Stance.EXIT, Stance.FLATTEN, Stance.NOTHING]
SPACINGS = [{"kind": "arithmetic", "step": "0.6"}, {"kind": "geometric", "ratio": "1.0051"}]
RANGES = [
    {"kind": "window", "buy_window": 3, "sell_window": 3},
    {"kind": "window", "buy_window": 8, "sell_window": 2, "anchor": "99.31"},
    {"kind": "fixed", "lower": "97", "upper": "104"},
]


class AnyGrid(RuleBasedStateMachine):
    @initialize(
        spacing=st.sampled_from(SPACINGS),
        grid_range=st.sampled_from(RANGES),
        size=st.sampled_from(
            [{"kind": "base", "amount": "0.9"}, {"kind": "quote", "amount": "77"}]
        ),
        budget=st.sampled_from(["250", "10000"]),
        max_open_orders=st.sampled_from([3, 200]),
        fee_asset=st.sampled_from(["ABC", "USDT", "BNB"]),
        kind=st.sampled_from(MarketKind),
        mode=st.sampled_from(["long", "short", "neutral"]),
        initial_position=st.booleans(),
        skew=st.sampled_from([None, {"levels_per_slot": "0.5", "max_levels": 2}]),
    )
    def add_symbol(
        self, grid_range: dict[str, Any], fee_asset: str, kind: MarketKind, **fields: Any
    ) -> None:
        instrument = replace(INSTRUMENT, kind=kind)
        if kind is MarketKind.LINEAR and fee_asset == "ABC":
            fee_asset = "USDT"
        sells_base = kind is MarketKind.SPOT and fields["mode"] != "long"
        spec = make_spec(
            mode=fields["mode"],
            initial_position=fields["initial_position"],
            skew=fields["skew"],
            base_inventory="3" if sells_base else None,
            range=grid_range,
            spacing=fields["spacing"],
            order_size=fields["size"],
            budget_quote=fields["budget"],
            max_open_orders=fields["max_open_orders"],
            price_collar="0.05",
        )
        self.model = ShardModel(spec, instrument, Decimal(100), fee_asset)

    @rule(answer=ANSWERS, stance=st.sampled_from(STANCES))
    def decide(self, answer: Answer, stance: Stance) -> None:
        plan = self.model.plan(self.model.live, stance)
        self._passes_gate(plan)
        self._settles(plan, stance)
        self.model.execute(plan, answer)

    @rule(moves=st.lists(st.tuples(st.integers(-70, 70), st.integers(1, 90)), min_size=20))
    def stay_quiet(self, moves: list[tuple[int, int]]) -> None:
        """Inside the band of a decision that found nothing to do, none finds anything."""
        model, stance = self.model, Stance.TRADE
        book = make_book(model.bid_ticks, model.ask_ticks)
        if model.plan(model.live, stance):
            return
        phase = Phase(stage=Stage.RUNNING)
        band = quiet_band(
            model.grid, phase, model.slots, book, model.live, stance=stance, profit_at=int
        )
        if band is None:
            return
        middle = book.mid_ticks
        assert band.is_quiet(model.bid_ticks or 0, model.ask_ticks or 0)
        for moved, spread in moves:
            bid, ask = middle + moved - spread // 2, middle + moved + (spread + 1) // 2
            if band.is_quiet(bid, ask):
                desired = desired_orders(
                    model.grid, model.slots, make_book(bid, ask), model.live, stance=stance
                )
                assert not diff(desired, model.live, model.slots, INTENTS)

    @rule(moved=st.integers(-150, 150), spread=st.integers(1, 40))
    def move_price(self, moved: int, spread: int) -> None:
        bid = min(max((self.model.bid_ticks or 9_999) + moved, 9_000), 11_000)
        self.model.move(bid, bid + spread)

    @rule(is_bid_gone=st.booleans())
    def empty_one_side(self, is_bid_gone: bool) -> None:
        bid, ask = self.model.bid_ticks or 9_999, self.model.ask_ticks or 10_001
        self.model.move(None if is_bid_gone else bid, ask if is_bid_gone else None)

    @precondition(lambda self: self.model.resting)
    @rule(data=st.data())
    def fill_some(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.resting)))
        self.model.fill(key, data.draw(st.integers(1, self.model.resting[key])))

    @precondition(lambda self: self.model.cancels_on_the_way)
    @rule()
    def take_cancel(self) -> None:
        self.model.take_cancel()

    @precondition(lambda self: self.model.untold)
    @rule(data=st.data(), end_first=st.booleans())
    def hear(self, data: st.DataObject, end_first: bool) -> None:
        self.model.hear(data.draw(st.sampled_from(sorted(self.model.untold))), end_first=end_first)

    @rule()
    def hear_all(self) -> None:
        while self.model.untold:
            self.model.hear(min(self.model.untold))

    @rule()
    def resolve_all(self) -> None:
        for key, order in list(self.model.orders.items()):
            if isinstance(order.state, Unknown):
                self.model.resolve_unknown(key)

    @invariant()
    def one_live_order_a_slot_and_side(self) -> None:
        live = self.model.live
        known = {order.intent.client_order_id for order in live.values()}
        assert len(live) <= self.model.spec.max_open_orders
        assert set(self.model.resting) <= known

    @invariant()
    def exits_never_exceed_inventory(self) -> None:
        for (slot, side), order in self.model.live.items():
            if side is self.model.grid.role_of(slot).exit_side:
                held = self.model.slots[slot].held_units
                assert order.remaining_lots <= INSTRUMENT.tradable_lots(held)

    @invariant()
    def own_orders_never_cross(self) -> None:
        prices: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}
        for key in self.model.resting:
            intent = self.model.orders[key].intent
            prices[intent.side].append(intent.price_ticks)
        assert max(prices[Side.BUY], default=0) < min(prices[Side.SELL], default=10**9)

    @invariant()
    def budget_is_kept(self) -> None:
        if not self.model.late_fills:
            for role in self.model.grid.roles:
                assert self.model.tied_units(role) <= self.model.grid.role_budget_units(role)

    @invariant()
    def base_and_quote_are_conserved(self) -> None:
        slots, pairs = self.model.slots.values(), self.model.pairs
        for slot in slots:
            role = self.model.grid.role_of(slot.id)
            assert role * slot.inventory_units >= 0
            assert role * slot.cost_units >= 0
        assert self.model.base_held == sum(slot.inventory_units for slot in slots)
        assert self.model.quote_opened == (
            sum(slot.cost_units + slot.closed_cost_units for slot in slots)
            + sum(pair.cost_units for pair in pairs)
        )
        assert self.model.quote_closed == (
            sum(slot.proceeds_units for slot in slots) + sum(pair.proceeds_units for pair in pairs)
        )

    @invariant()
    def profit_is_equity_now_less_equity_at_start(self) -> None:
        mark = self.model.bid_ticks or 9_999
        paired = sum(pair.profit_units for pair in self.model.pairs)
        profit = total_profit(paired, self.model.slots.values(), INSTRUMENT, mark)
        lot = INSTRUMENT.base_units_per_lot
        inventory = self.model.base_held * mark * INSTRUMENT.quote_units_per_tick_lot // lot
        cash = self.model.quote_closed - self.model.quote_opened
        assert profit.total_units == cash + inventory

    @invariant()
    def grid_rebuilt_from_its_anchor_is_the_same(self) -> None:
        assert self.model.rebuilt_grid() == self.model.grid

    def _passes_gate(self, plan: Plan) -> None:
        """The gate has nothing to refuse that the grid could have known."""
        approved = review(
            plan,
            instrument=INSTRUMENT,
            book=make_book(self.model.bid_ticks, self.model.ask_ticks),
            limits=LIMITS,
            exposure=NOTHING_USED,
            is_killed=False,
        )
        assert approved.refused == ()

    def _settles(self, plan: Plan, stance: Stance) -> None:
        """Done as said, the plan leaves nothing to do, but for what its cancels held up.

        That may take some rounds: an entry ends, so its exit is cancelled to be resized, so a
        nearer entry no longer crosses it and gets the budget of the farthest, which is cancelled.
        """
        live, rounds = self.model.live, 0
        while plan:
            rounds += 1
            live = after(live, plan)
            rest = self.model.plan(live, stance)
            assert plan.cancels or not rest
            plan = rest
        assert rounds <= 6


TestAnyGrid = AnyGrid.TestCase
TestAnyGrid.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
