"""Reservations: what is reserved, in inventory and free adds up, and refusals say what would do."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from grid.spec import GridSpec
from risk.reservations import (
    Held,
    Market,
    PortfolioLimits,
    Reserving,
    check_portfolio,
    check_reservation,
    use_of,
)
from unit.symbol_manager.factories import make_spec

D = Decimal
AMOUNTS = st.decimals(min_value="0.01", max_value=10_000, places=2)


def reserving(
    symbol: str = "BTC/USDT",
    budget: str | Decimal = "1000",
    *,
    kind: MarketKind = MarketKind.SPOT,
    held: Held | None = None,
    leverage: int = 1,
    **spec: object,
) -> Reserving:
    base, quote = symbol.split("/")
    grid: GridSpec = make_spec(budget_quote=str(budget), **spec)
    return Reserving(
        market=Market(symbol=symbol, kind=kind, base=base, quote=quote),
        spec=grid,
        held=held or Held(),
        leverage=Decimal(leverage),
    )


def refusal(new: Reserving, others: list[Reserving], **balances: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        check_reservation(new, others, {asset: Decimal(has) for asset, has in balances.items()})
    return refused.value


def test_reservation_within_what_others_leave_is_granted() -> None:
    others = [reserving("ETH/USDT", "600")]
    check_reservation(reserving(budget="400"), others, {"USDT": Decimal(1000)})


def test_reservation_past_what_others_leave_names_them_and_the_largest_that_works() -> None:
    others = [reserving("ETH/USDT", "600"), reserving("ETH/BTC", "0.5")]
    refused = refusal(reserving(budget="401"), others, USDT="1000", BTC="1")
    assert refused.field == "budget_quote"
    assert refused.value == "401"
    assert "1000 USDT" in refused.rule
    assert "600 are reserved (ETH/USDT 600)" in refused.rule
    assert "BTC" not in refused.rule
    assert refused.remedy.startswith("use 400 or less,")


def test_reservation_when_nothing_is_free_offers_no_value() -> None:
    refused = refusal(reserving(budget="1"), [reserving("ETH/USDT", "600")], USDT="500")
    assert refused.remedy == "fund the account, or remove a symbol"


def test_refusal_names_the_largest_few_of_many() -> None:
    others = [reserving(f"A{number}/USDT", str(100 + number)) for number in range(8)]
    rule = refusal(reserving(), others, USDT="0").rule
    assert "(A7/USDT 107, A6/USDT 106, A5/USDT 105, A4/USDT 104, A3/USDT 103, 3 others)" in rule


def test_money_turned_into_inventory_still_counts() -> None:
    """600 of the other symbol's 800 were paid for base; the balance is what remained of 1000."""
    others = [reserving("ETH/USDT", "800", held=Held(base=Decimal(3), quote_paid=Decimal(600)))]
    check_reservation(reserving(budget="200"), others, {"USDT": Decimal(400)})
    assert "use 200 or less" in refusal(reserving(budget="201"), others, USDT="400").remedy


def test_base_that_is_declared_or_was_bought_is_not_declared_twice() -> None:
    bought = reserving("BTC/EUR", held=Held(base=Decimal("0.3"), quote_paid=Decimal(900)))
    declared = reserving("BTC/USDC", mode="neutral", base_inventory="0.5")
    new = reserving(mode="short", base_inventory="0.4")
    balances = {"BTC": Decimal("1.2"), "USDT": Decimal(0)}
    check_reservation(new, [bought, declared], balances)
    more = reserving(mode="short", base_inventory="0.41")
    refused = refusal(more, [bought, declared], BTC="1.2", USDT="0")
    assert refused.field == "base_inventory"
    assert "BTC/USDC 0.5, BTC/EUR 0.3" in refused.rule
    assert refused.remedy.startswith("use 0.4 or less")


def test_quote_received_for_sold_base_is_kept_to_buy_it_back() -> None:
    """A short grid sold 0.2 of its 0.5 BTC for 600: that money is not free, the base is gone."""
    short = reserving(
        "BTC/USDT",
        mode="short",
        base_inventory="0.5",
        held=Held(base_owed=Decimal("0.2"), quote_received=Decimal(600)),
    )
    assert {use.asset: use.free for use in use_of([short], {"BTC": D("0.3"), "USDT": D(600)})} == {
        "BTC": 0,
        "USDT": 0,
    }
    assert "use" not in refusal(reserving("ETH/USDT", "1"), [short], USDT="600").remedy


def test_perpetual_reserves_its_margin() -> None:
    kind = MarketKind.LINEAR
    others = [reserving("ETH/USDT", "1000", kind=kind, leverage=4)]
    new = reserving(budget="3000", kind=kind, leverage=10)
    check_reservation(new, others, {"USDT": Decimal(550)})
    refused = refusal(new, others, USDT="549")
    assert refused.value == "3000"
    assert refused.remedy.startswith("use 2990 or less")


def test_only_what_grows_is_judged_of_a_symbol_that_changes() -> None:
    """The account lost 300 of its 1000: what is there already may stay, shrink, and not grow."""
    before = reserving(budget="600", mode="neutral", base_inventory="0.5")
    others, balances = [reserving("ETH/USDT", "400")], {"USDT": D(700), "BTC": D("0.6")}
    for budget in ("600", "500"):
        smaller = reserving(budget=budget, mode="neutral", base_inventory="0.6")
        check_reservation(smaller, others, balances, before)
    with pytest.raises(ConfigurationError, match="use 300 or less"):
        check_reservation(reserving(budget="601"), others, balances, before)
    more = reserving(budget="600", mode="neutral", base_inventory="0.7")
    with pytest.raises(ConfigurationError, match=r"use 0\.6 or less"):
        check_reservation(more, others, balances, before)


def test_own_inventory_counts_for_a_symbol_that_changes() -> None:
    """Of 600 it paid 500; the balance is the rest of 1000, and nobody else reserves any."""
    held = Held(base=D(1), quote_paid=D(500))
    before = reserving(budget="600", held=held)
    check_reservation(reserving(budget="1000", held=held), [], {"USDT": D(500)}, before)
    with pytest.raises(ConfigurationError, match="use 1000 or less"):
        check_reservation(reserving(budget="1001", held=held), [], {"USDT": D(500)}, before)


@given(balance=AMOUNTS, budgets=st.lists(AMOUNTS, max_size=6), paid=AMOUNTS, budget=AMOUNTS)
def test_largest_value_of_a_refusal_works_and_no_larger_one(
    balance: Decimal, budgets: list[Decimal], paid: Decimal, budget: Decimal
) -> None:
    others = [
        reserving(f"A{number}/USDT", amount, held=Held(base=D(1), quote_paid=min(paid, amount)))
        for number, amount in enumerate(budgets)
    ]
    balances = {"USDT": balance}
    try:
        check_reservation(reserving(budget=budget), others, balances)
    except ConfigurationError as refused:
        found = re.match(r"use (\S+) or less", refused.remedy)
        if found is None:
            smallest = reserving(budget="0.01")
            with pytest.raises(ConfigurationError):
                check_reservation(smallest, others, balances)
        else:
            check_reservation(reserving(budget=found[1]), others, balances)
            with pytest.raises(ConfigurationError):
                check_reservation(reserving(budget=D(found[1]) + D("0.01")), others, balances)
    else:
        (use,) = (use for use in use_of(others, balances) if use.asset == "USDT")
        assert use.free is not None
        assert use.free >= budget


@given(budgets=st.lists(AMOUNTS, max_size=6), balance=AMOUNTS, paid=AMOUNTS)
def test_use_of_an_asset_adds_up(budgets: list[Decimal], balance: Decimal, paid: Decimal) -> None:
    symbols = [
        reserving(f"A{number}/USDT", amount, held=Held(base=D(1), quote_paid=min(paid, amount)))
        for number, amount in enumerate(budgets)
    ]
    (use,) = (use for use in use_of(symbols, {"USDT": balance}) if use.asset == "USDT")
    assert use.reserved == sum(use.reserved_by.values()) == sum(budgets)
    assert use.free == balance + sum(min(paid, amount) for amount in budgets) - sum(budgets)


def test_use_of_an_asset_that_was_never_read_has_no_free() -> None:
    uses = {use.asset: use for use in use_of([reserving()], {})}
    assert (uses["USDT"].balance, uses["USDT"].free, uses["USDT"].reserved) == (None, None, 1000)


def test_total_budget_is_bounded_for_each_quote_asset() -> None:
    limits = PortfolioLimits(max_total_budget_quote={"USDT": D(1500)})
    others = [reserving("ETH/USDT", "900"), reserving("ETH/BTC", "900")]
    check_portfolio(reserving(budget="600"), others, limits)
    check_portfolio(reserving("SOL/BTC", "9999"), others, limits)
    with pytest.raises(ConfigurationError) as refused:
        check_portfolio(reserving(budget="601"), others, limits)
    assert refused.value.field == "budget_quote"
    assert "risk.max_total_budget_quote of 1500 USDT, of which 900 are taken (ETH/USDT 900)" in (
        refused.value.rule
    )
    assert refused.value.remedy.startswith("use 600 or less")


def test_total_budget_of_one_number_bounds_every_quote_asset() -> None:
    limits = PortfolioLimits(max_total_budget_any_quote=D(1000))
    check_portfolio(reserving("ETH/EUR"), [reserving()], limits)
    with pytest.raises(ConfigurationError, match="max_total_budget_quote"):
        check_portfolio(reserving("ETH/USDT", "1"), [reserving()], limits)


def test_limits_on_all_symbols_judge_a_changed_one_by_what_grows() -> None:
    limits = PortfolioLimits(max_total_budget_any_quote=D(1000), max_symbols=1)
    before, others = reserving(budget="700"), [reserving("ETH/USDT", "600")]
    check_portfolio(reserving(budget="650"), others, limits, before)
    with pytest.raises(ConfigurationError, match="use 400 or less"):
        check_portfolio(reserving(budget="701"), others, limits, before)


def test_number_of_symbols_is_bounded() -> None:
    limits = PortfolioLimits(max_symbols=2)
    check_portfolio(reserving(), [reserving("ETH/USDT")], limits)
    with pytest.raises(ConfigurationError, match="max_symbols"):
        check_portfolio(reserving(), [reserving("ETH/USDT"), reserving("SOL/USDT")], limits)
