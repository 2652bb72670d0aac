"""The futures REST API as unmodified ccxt sees it: orders, positions, money, refusals."""

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually

SYMBOL = "BTC/USDT:USDT"


@pytest.fixture(autouse=True)
async def still_market(simulator: Simulator) -> None:
    """Prices move by hand only."""
    await simulator.freeze()


async def best(usdm: Any) -> tuple[float, float]:
    book = await usdm.fetch_order_book(SYMBOL)
    return book["bids"][0][0], book["asks"][0][0]


async def price_below(usdm: Any, basis_points: int) -> float:
    bid, _ = await best(usdm)
    return float(usdm.price_to_precision(SYMBOL, bid * (1 - basis_points / 1e4)))


async def move(simulator: Simulator, usdm: Any, price: float) -> None:
    body = {
        "market": "futures",
        "symbol": "BTCUSDT",
        "price": usdm.price_to_precision(SYMBOL, price),
    }
    await simulator.control("POST", "price", body)


async def wallet(simulator: Simulator) -> Decimal:
    state = await simulator.control("GET", "state")
    return Decimal(state["futures"]["accounts"]["main"]["wallets"]["USDT"])


async def test_load_markets_shows_perpetuals_with_their_rules(usdm: Any) -> None:
    market = usdm.market(SYMBOL)
    assert (market["swap"], market["linear"], market["contractSize"]) == (True, True, 1)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert market["limits"]["cost"]["min"] == 100
    assert market["limits"]["market"]["max"] == 120


async def test_limit_order_is_placed_found_amended_and_cancelled(usdm: Any) -> None:
    price = await price_below(usdm, 50)
    by_client_id = {"clientOrderId": "abc-1"}
    placed = await usdm.create_order(
        SYMBOL, "limit", "buy", 0.01, price, {**by_client_id, "postOnly": True}
    )
    assert (placed["status"], placed["postOnly"], placed["price"]) == ("open", True, price)
    assert (await usdm.fetch_order("", SYMBOL, by_client_id))["id"] == placed["id"]
    opened = await usdm.fetch_open_order(placed["id"], SYMBOL)
    assert opened["timeInForce"] == "PO"

    amended = await usdm.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, price - 10)
    assert (amended["id"], amended["amount"], amended["price"]) == (placed["id"], 0.02, price - 10)

    cancelled = await usdm.cancel_order("", SYMBOL, by_client_id)
    assert cancelled["status"] == "canceled"
    assert await usdm.fetch_open_orders(SYMBOL) == []
    (listed,) = await usdm.fetch_orders(SYMBOL)
    assert listed["status"] == "canceled"


async def test_market_order_opens_a_position_that_the_account_shows(
    usdm: Any, simulator: Simulator
) -> None:
    before = await wallet(simulator)
    order = await usdm.create_order(SYMBOL, "market", "buy", 0.5)
    assert (order["status"], order["filled"]) == ("closed", 0.5)

    (position,) = await usdm.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"]) == ("long", 0.5)
    assert position["entryPrice"] == order["average"]
    assert 0 < position["maintenanceMargin"] < position["initialMargin"]
    assert position["liquidationPrice"] is None  # the wallet would carry it down to nothing
    (trade,) = await usdm.fetch_my_trades(SYMBOL)
    assert trade["takerOrMaker"] == "taker"
    paid = Decimal(str(trade["fee"]["cost"]))
    assert await wallet(simulator) == before - paid
    balance = await usdm.fetch_balance()
    assert balance["USDT"]["used"] == pytest.approx(position["initialMargin"])
    for account in (balance["info"], await usdm.fapiPrivateV2GetAccount()):
        assert Decimal(account["totalWalletBalance"]) == before - paid
    for row in (await usdm.fapiPrivateV2GetBalance(), await usdm.fapiPrivateV3GetBalance()):
        assert Decimal(row[0]["balance"]) == before - paid


async def test_reduce_only_order_never_increases_a_position(
    usdm: Any, simulator: Simulator
) -> None:
    price = await price_below(usdm, -50)
    reduce_only = {"reduceOnly": True}
    for amount in (0.2, 0.4):
        with pytest.raises(ccxt.ExchangeError, match="-2022"):
            await usdm.create_order(SYMBOL, "limit", "sell", amount, price, reduce_only)
        await usdm.create_order(SYMBOL, "market", "buy", 0.1)
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        await usdm.create_order(SYMBOL, "limit", "buy", 0.1, price - 1000, reduce_only)

    resting = await usdm.create_order(SYMBOL, "limit", "sell", 0.2, price, reduce_only)
    await usdm.create_order(SYMBOL, "market", "sell", 0.15)
    await move(simulator, usdm, price * 1.001)

    ended = await usdm.fetch_order(resting["id"], SYMBOL)
    assert (ended["status"], ended["filled"]) == ("expired", 0.05)
    assert await usdm.fetch_positions([SYMBOL]) == []


async def test_batch_of_orders_answers_each_on_its_own(usdm: Any) -> None:
    price = await price_below(usdm, 50)
    wanted = [
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": price},
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.001, "price": price},
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.02, "price": price},
    ]
    # ccxt sorts by time, and a refusal has none
    refused, first, second = await usdm.create_orders(wanted)
    assert (refused["info"]["code"], refused["status"]) == (-4164, "rejected")

    edits = [
        {**wanted[0], "id": first["id"], "amount": 0.03},
        {**wanted[2], "id": second["id"], "price": price - 5},
    ]
    amended = await usdm.edit_orders(edits)
    assert {(order["amount"], order["price"]) for order in amended} == {
        (0.03, price),
        (0.02, price - 5),
    }
    ids = [first["id"], second["id"]]
    cancelled = await usdm.cancel_orders(ids, SYMBOL)
    assert [order["status"] for order in cancelled] == ["canceled", "canceled"]
    with pytest.raises(ccxt.BaseError, match="-4082"):
        await usdm.create_orders([wanted[0]] * 6)


async def test_cancel_all_empties_one_symbol(usdm: Any) -> None:
    price = await price_below(usdm, 50)
    for _ in range(3):
        await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price)
    await usdm.cancel_all_orders(SYMBOL)
    assert await usdm.fetch_open_orders(SYMBOL) == []


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        pytest.param({"price": "61000.05"}, ccxt.BadRequest, "-4014", id="off-tick"),
        pytest.param({"price": "61000.001"}, ccxt.BadRequest, "-1111", id="too-precise"),
        pytest.param({"quantity": "0.0001"}, ccxt.BadRequest, "-1111", id="off-lot"),
        pytest.param({"quantity": "0"}, ccxt.BadRequest, "-4003", id="nothing"),
        pytest.param({"quantity": "2000"}, ccxt.BadRequest, "-4005", id="too-much"),
        pytest.param({"quantity": "0.001"}, ccxt.InvalidOrder, "-4164", id="too-small"),
        pytest.param({"price": "100000"}, ccxt.BadRequest, "-4016", id="too-high"),
        pytest.param({"price": "30000"}, ccxt.BadRequest, "-4024", id="too-low"),
        pytest.param({"quantity": "900"}, ccxt.ExchangeError, "-2027", id="above-bracket"),
        pytest.param({"quantity": "50"}, ccxt.InsufficientFunds, "-2019", id="no-margin"),
        pytest.param(
            {"timeInForce": "GTX", "price": "70000"},
            ccxt.OrderNotFillable,
            "-5022",
            id="post-only-crossing",
        ),
        pytest.param(
            {"timeInForce": "FOK", "price": "60000"}, ccxt.OrderNotFillable, "-5021", id="fok"
        ),
        pytest.param({"reduceOnly": "true"}, ccxt.InvalidOrder, "-2022", id="reduce-only"),
        pytest.param({"positionSide": "LONG"}, ccxt.OperationRejected, "-4061", id="hedge"),
        pytest.param({"symbol": "NOPEUSDT"}, ccxt.BadSymbol, "-1121", id="unknown-symbol"),
        pytest.param({"type": "STOP"}, ccxt.BadRequest, "-1116", id="unsupported-type"),
        pytest.param({"postOnly": "true"}, ccxt.BadRequest, "-1104", id="unknown-parameter"),
        pytest.param({"newClientOrderId": "a" * 37}, ccxt.BadRequest, "-4015", id="long-id"),
    ],
)
async def test_order_refused_maps_to_the_expected_exception(
    simulator: Simulator, order: dict[str, Any], error: type, message: str
) -> None:
    usdm = await simulator.futures_client()
    request = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "61000",
        **order,
    }
    with pytest.raises(ccxt.BaseError, match=message) as refusal:
        await usdm.fapiprivate_post_order(request)
    assert isinstance(refusal.value, error)
    assert await simulator.ledger("order_accepted") == []


async def test_duplicate_client_id_is_refused_while_open(usdm: Any) -> None:
    price = await price_below(usdm, 50)
    same = {"clientOrderId": "same"}
    await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price, same)
    with pytest.raises(ccxt.InvalidOrder, match="-4116"):
        await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price, same)
    await usdm.cancel_order("", SYMBOL, same)
    await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price, same)


async def test_unknown_order_is_named_as_such(usdm: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await usdm.fetch_order("", SYMBOL, {"clientOrderId": "nobody"})
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        await usdm.cancel_order("", SYMBOL, {"clientOrderId": "nobody"})
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await usdm.edit_order("77", SYMBOL, "limit", "buy", 0.01, 60_000)


async def test_settings_of_a_symbol_are_changed_and_shown(usdm: Any) -> None:
    await usdm.set_leverage(5, SYMBOL)
    await usdm.set_margin_mode("isolated", SYMBOL)
    leverage, mode = await asyncio.gather(
        usdm.fetch_leverage(SYMBOL), usdm.fetch_margin_mode(SYMBOL)
    )
    assert (leverage["longLeverage"], mode["marginMode"]) == (5, "isolated")
    with pytest.raises(ccxt.MarginModeAlreadySet, match="-4046"):
        await usdm.set_margin_mode("isolated", SYMBOL)
    with pytest.raises(ccxt.BaseError, match="-4028"):
        await usdm.fapiprivate_post_leverage({"symbol": "BTCUSDT", "leverage": 126})
    tiers = await usdm.fetch_leverage_tiers([SYMBOL])
    assert tiers[SYMBOL][0]["maxLeverage"] == 125


async def test_hedge_mode_is_refused(usdm: Any) -> None:
    assert (await usdm.fetch_position_mode())["hedged"] is False
    with pytest.raises(ccxt.BadRequest, match="-4084"):
        await usdm.set_position_mode(True)
    with pytest.raises(ccxt.BaseError, match="-4059"):
        await usdm.set_position_mode(False)
    await usdm.create_order(SYMBOL, "market", "buy", 0.01)
    with pytest.raises(ccxt.BaseError, match="-4068"):
        await usdm.set_position_mode(True)
    with pytest.raises(ccxt.BaseError, match="-4048"):
        await usdm.set_margin_mode("isolated", SYMBOL)


async def test_income_explains_every_movement_of_the_wallet(
    usdm: Any, simulator: Simulator
) -> None:
    await usdm.create_order(SYMBOL, "market", "buy", 0.3)
    await simulator.control("POST", "funding", {"symbol": "BTCUSDT", "rate": "0.0001"})
    bid, _ = await best(usdm)
    await move(simulator, usdm, bid * 1.01)
    await usdm.create_order(SYMBOL, "market", "sell", 0.5)
    deposit = {"market": "futures", "account": "main", "asset": "USDT", "amount": "12.5"}
    await simulator.control("POST", "deposit", deposit)

    income = await usdm.fapiprivate_get_income({"limit": 1000})
    kinds = {row["incomeType"] for row in income}
    assert kinds == {"TRANSFER", "COMMISSION", "FUNDING_FEE", "REALIZED_PNL"}
    assert sum(Decimal(row["income"]) for row in income) == await wallet(simulator)
    (paid,) = await usdm.fetch_funding_history(SYMBOL)
    assert paid["amount"] == pytest.approx(-0.3 * 61800 * 0.0001, rel=0.02)
    (rate,) = await usdm.fetch_funding_rate_history(SYMBOL)
    assert rate["fundingRate"] == 0.0001
    (position,) = await usdm.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"]) == ("short", 0.2)


async def test_position_beyond_its_margin_is_liquidated(usdm: Any, simulator: Simulator) -> None:
    await usdm.set_leverage(50, SYMBOL)
    withdrawn = {"market": "futures", "account": "main", "asset": "USDT", "amount": "-99000"}
    await simulator.control("POST", "deposit", withdrawn)
    await usdm.create_order(SYMBOL, "market", "buy", 0.5)
    resting = await usdm.create_order(
        SYMBOL, "limit", "sell", 0.1, await price_below(usdm, -500), {"reduceOnly": True}
    )
    (position,) = await usdm.fetch_positions([SYMBOL])
    await move(simulator, usdm, position["liquidationPrice"] * 1.0005)
    assert await usdm.fetch_positions([SYMBOL]) != []

    await move(simulator, usdm, position["liquidationPrice"] * 0.9995)

    assert await usdm.fetch_positions([SYMBOL]) == []
    assert (await usdm.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"
    left = await wallet(simulator)
    assert 0 <= left < Decimal("0.5")
    (forced,) = await usdm.fetch_my_liquidations(SYMBOL)
    assert forced["info"]["clientOrderId"].startswith("autoclose-")


async def test_dead_mans_switch_cancels_unless_it_is_fed(usdm: Any) -> None:
    price = await price_below(usdm, 50)
    await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price)
    switch = {"symbol": "BTCUSDT", "countdownTime": 60_000}
    await usdm.fapiprivate_post_countdowncancelall(switch)
    await usdm.fapiprivate_post_countdowncancelall({**switch, "countdownTime": 0})
    assert len(await usdm.fetch_open_orders(SYMBOL)) == 1
    await usdm.fapiprivate_post_countdowncancelall({**switch, "countdownTime": 200})

    async def nothing_is_open() -> bool:
        return await usdm.fetch_open_orders(SYMBOL) == []

    await eventually(nothing_is_open)


async def test_public_data_agrees_with_itself(usdm: Any) -> None:
    ticker, book, trades, candles, quotes, premium, fee, prices, raw = await asyncio.gather(
        usdm.fetch_ticker(SYMBOL),
        usdm.fetch_order_book(SYMBOL),
        usdm.fetch_trades(SYMBOL),
        usdm.fetch_ohlcv(SYMBOL, "5m"),
        usdm.fetch_bids_asks([SYMBOL]),
        usdm.fetch_funding_rate(SYMBOL),
        usdm.fetch_trading_fee(SYMBOL),
        usdm.fetch_last_prices([SYMBOL]),
        usdm.fapipublic_get_trades({"symbol": "BTCUSDT"}),
    )
    assert ticker["last"] == trades[-1]["price"] == candles[-1][4] == float(raw[-1]["price"])
    assert prices[SYMBOL]["price"] == ticker["last"]
    assert book["bids"][0][0] == quotes[SYMBOL]["bid"] <= premium["markPrice"]
    assert premium["fundingTimestamp"] > premium["timestamp"]
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0005)


async def test_changed_filters_apply_at_once(usdm: Any, simulator: Simulator) -> None:
    body = {"market": "futures", "symbol": "BTCUSDT", "filters": {"tick_size": "1"}}
    await simulator.control("POST", "filters", body)
    price = round(await price_below(usdm, 50)) + 0.1
    with pytest.raises(ccxt.BadRequest, match="-4014"):
        await usdm.create_order(SYMBOL, "limit", "buy", 0.01, price)
    assert (await usdm.load_markets(True))[SYMBOL]["precision"]["price"] == 1


async def test_trade_by_hand_fills_what_it_reaches(usdm: Any, simulator: Simulator) -> None:
    bid, _ = await best(usdm)
    order = await usdm.create_order(SYMBOL, "limit", "buy", 0.5, bid - 200)
    trade = {"market": "futures", "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.2"}
    price = usdm.price_to_precision(SYMBOL, bid - 200)
    await simulator.control("POST", "trade", {**trade, "price": price})
    assert (await usdm.fetch_order(order["id"], SYMBOL))["filled"] == 0.2


async def test_futures_orders_are_no_spot_orders(usdm: Any, simulator: Simulator) -> None:
    spot = await simulator.client()
    await spot.load_markets()
    await usdm.create_order(SYMBOL, "limit", "buy", 0.01, await price_below(usdm, 50))
    assert await spot.fetch_open_orders("BTC/USDT") == []
    (record,) = await simulator.ledger("order_accepted")
    assert record["market"] == "futures"
