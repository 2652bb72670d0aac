"""The REST API as unmodified ccxt sees it: life cycles, refusals, limits."""

import asyncio
from dataclasses import replace
from typing import Any

import ccxt
import pytest

from integration.simulator.harness import Simulator, running
from simulator.config import Limits, SimulatorConfig

SYMBOL = "BTC/USDT"


async def price_below(binance: Any, basis_points: int) -> float:
    """A price that far under the best bid."""
    book = await binance.fetch_order_book(SYMBOL)
    return float(binance.price_to_precision(SYMBOL, book["bids"][0][0] * (1 - basis_points / 1e4)))


async def test_load_markets_shows_rules_of_every_symbol(binance: Any) -> None:
    assert {"BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT"} <= set(binance.markets)
    market = binance.market(SYMBOL)
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert market["limits"]["cost"]["min"] == 5


async def test_limit_order_is_placed_found_and_cancelled(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    price = await price_below(binance, 50)
    by_client_id = {"clientOrderId": "abc-1"}
    placed = await binance.create_order(
        SYMBOL, "limit", "buy", 0.01, price, {**by_client_id, "postOnly": True}
    )
    assert (placed["status"], placed["postOnly"], placed["price"]) == ("open", True, price)

    fetched = await binance.fetch_order("", SYMBOL, by_client_id)
    assert fetched["id"] == placed["id"]
    assert [order["id"] for order in await binance.fetch_open_orders(SYMBOL)] == [placed["id"]]
    balance = await binance.fetch_balance()
    assert balance["USDT"]["used"] == pytest.approx(price * 0.01)

    cancelled = await binance.cancel_order("", SYMBOL, by_client_id)
    assert cancelled["status"] == "canceled"
    assert await binance.fetch_open_orders(SYMBOL) == []
    assert (await binance.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"
    assert (await binance.fetch_balance())["USDT"]["used"] == 0


async def test_market_order_fills_and_its_trades_are_listed(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    order = await binance.create_order(SYMBOL, "market", "buy", 0.02)
    assert (order["status"], order["filled"]) == ("closed", 0.02)

    trades = await binance.fetch_my_trades(SYMBOL)
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.02)
    assert {trade["order"] for trade in trades} == {order["id"]}
    assert trades[0]["fee"]["currency"] == "BTC"
    assert (await binance.fetch_balance())["BTC"]["free"] == pytest.approx(0.02 * 0.999)
    later = int(trades[-1]["id"]) + 1
    assert await binance.fetch_my_trades(SYMBOL, None, None, {"fromId": later}) == []


async def test_resting_order_fills_when_the_price_moves_through_it(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    price = await price_below(binance, 20)
    order = await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.01, price)
    body = {"symbol": "BTCUSDT", "price": binance.price_to_precision(SYMBOL, price * 0.999)}
    await simulator.control("POST", "price", body)

    filled = await binance.fetch_order(order["id"], SYMBOL)
    assert (filled["status"], filled["average"]) == ("closed", price)
    (trade,) = await binance.fetch_my_trades(SYMBOL)
    assert trade["takerOrMaker"] == "maker"


async def test_edit_order_replaces_in_one_request(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    price = await price_below(binance, 50)
    old = await binance.create_order(SYMBOL, "limit", "buy", 0.01, price)
    new = await binance.edit_order(old["id"], SYMBOL, "limit", "buy", 0.02, price)

    assert new["id"] != old["id"]
    assert [order["id"] for order in await binance.fetch_open_orders(SYMBOL)] == [new["id"]]


async def test_cancel_replace_of_an_unknown_order_places_nothing(binance: Any) -> None:
    price = await price_below(binance, 50)
    with pytest.raises(ccxt.BaseError, match="cancel-replace failed"):
        await binance.edit_order("999", SYMBOL, "limit", "buy", 0.02, price)
    assert await binance.fetch_open_orders(SYMBOL) == []


async def test_cancel_all_empties_one_symbol(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    price = await price_below(binance, 50)
    for _ in range(3):
        await binance.create_order(SYMBOL, "limit", "buy", 0.01, price)
    assert len(await binance.cancel_all_orders(SYMBOL)) == 3
    assert await binance.fetch_open_orders(SYMBOL) == []
    assert len(await binance.fetch_orders(SYMBOL)) == 3


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        pytest.param({"price": "61000.001"}, ccxt.InvalidOrder, "price is invalid", id="off-tick"),
        pytest.param({"quantity": "0.000011"}, ccxt.InvalidOrder, "lot size", id="off-lot"),
        pytest.param({"quantity": "0.00001"}, ccxt.BadRequest, "NOTIONAL", id="too-small"),
        pytest.param({"price": "1000"}, ccxt.InvalidOrder, "PERCENT_PRICE", id="far-off"),
        pytest.param({"price": "61000.000000001"}, ccxt.BadRequest, "-1111", id="too-precise"),
        pytest.param({"price": "-1"}, ccxt.BadRequest, "-1100", id="negative"),
        pytest.param({"price": "NaN"}, ccxt.BadRequest, "-1100", id="not-a-number"),
        pytest.param(
            {"quantity": "100"}, ccxt.InsufficientFunds, "insufficient balance", id="too-big"
        ),
        pytest.param(
            {"type": "LIMIT_MAKER", "price": "70000", "timeInForce": None},
            ccxt.OrderImmediatelyFillable,
            "immediately match",
            id="post-only-crossing",
        ),
        pytest.param({"symbol": "NOPEUSDT"}, ccxt.BadSymbol, "-1121", id="unknown-symbol"),
        pytest.param({"side": "HOLD"}, ccxt.BadRequest, "-1117", id="unknown-side"),
        pytest.param({"type": "STOP_LOSS"}, ccxt.BadRequest, "-1116", id="unsupported-type"),
        pytest.param({"timeInForce": "GTX"}, ccxt.BadRequest, "-1115", id="unknown-force"),
        pytest.param({"price": None}, ccxt.BadRequest, "-1102", id="price-missing"),
        pytest.param({"type": None}, ccxt.BadRequest, "-1102", id="type-missing"),
        pytest.param({"postOnly": "true"}, ccxt.BadRequest, "-1104", id="unknown-parameter"),
        pytest.param(
            {"newClientOrderId": "no spaces"}, ccxt.BadRequest, "-1100", id="bad-client-id"
        ),
        pytest.param({"newClientOrderId": "a" * 37}, ccxt.BadRequest, "-1100", id="long-id"),
    ],
)
async def test_order_refused_maps_to_the_expected_exception(
    binance: Any, simulator: Simulator, order: dict[str, Any], error: type, message: str
) -> None:
    await simulator.freeze()
    request = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "61000",
        **order,
    }
    sent = {name: value for name, value in request.items() if value is not None}
    with pytest.raises(error, match=message):
        await binance.private_post_order(sent)
    assert await simulator.ledger("order_accepted") == []


async def test_duplicate_client_id_is_refused_and_recorded(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    price = await price_below(binance, 50)
    same = {"clientOrderId": "same"}
    await binance.create_order(SYMBOL, "limit", "buy", 0.01, price, same)
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await binance.create_order(SYMBOL, "limit", "buy", 0.01, price, same)

    (rejected,) = await simulator.ledger("order_rejected")
    assert (rejected["client_order_id"], rejected["code"]) == ("same", -2010)


async def test_unknown_order_is_named_as_such(binance: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await binance.fetch_order("", SYMBOL, {"clientOrderId": "nobody"})
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        await binance.cancel_order("", SYMBOL, {"clientOrderId": "nobody"})


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        pytest.param({"secret": "wrong"}, ccxt.AuthenticationError, "-1022", id="signature"),
        pytest.param({"apiKey": "wrong"}, ccxt.AuthenticationError, "-2015", id="key"),
    ],
)
async def test_wrong_credentials_are_refused(
    simulator: Simulator, settings: dict[str, str], error: type, message: str
) -> None:
    stranger = await simulator.client(**settings)
    with pytest.raises(error, match=message):
        await stranger.fetch_balance()


@pytest.mark.parametrize(
    "skew_ms", [pytest.param(-30_000, id="late"), pytest.param(2_000, id="ahead")]
)
async def test_timestamp_outside_the_window_is_refused(binance: Any, skew_ms: int) -> None:
    now_ms = await binance.fetch_time()
    binance.nonce = lambda: now_ms + skew_ms
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await binance.fetch_balance()


async def ask_often(binance: Any) -> None:
    for _ in range(10):
        await binance.fetch_balance()


async def test_weight_beyond_the_limit_is_429_with_retry_after(config: SimulatorConfig) -> None:
    limits = Limits(weight_per_minute=60)
    async with running(replace(config, limits=limits)) as simulator:
        binance = await simulator.client()
        with pytest.raises(ccxt.DDoSProtection, match="429"):
            await ask_often(binance)
        headers = binance.last_response_headers
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 60


async def test_orders_beyond_the_limit_are_429(config: SimulatorConfig) -> None:
    async with running(replace(config, limits=Limits(orders_per_10s=3))) as simulator:
        binance = await simulator.client()
        await binance.load_markets()
        await simulator.freeze()
        price = await price_below(binance, 50)
        orders = [binance.create_order(SYMBOL, "limit", "buy", 0.001, price) for _ in range(8)]
        results = await asyncio.gather(*orders, return_exceptions=True)
        refused = [result for result in results if isinstance(result, ccxt.DDoSProtection)]
        accepted = await simulator.ledger("order_accepted")
        # 3 in one window, or 3 in each of two if a window ended in between
        assert len(accepted) in range(3, 7)
        assert len(accepted) + len(refused) == len(results)


async def test_public_data_agrees_with_itself(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    ticker, book, trades, candles, best, fee = await asyncio.gather(
        binance.fetch_ticker(SYMBOL),
        binance.fetch_order_book(SYMBOL),
        binance.fetch_trades(SYMBOL),
        binance.fetch_ohlcv(SYMBOL),
        binance.fetch_bids_asks([SYMBOL]),
        binance.fetch_trading_fee(SYMBOL),
    )
    assert ticker["last"] == trades[-1]["price"] == candles[-1][4]
    assert book["bids"][0][0] == best[SYMBOL]["bid"] == ticker["bid"]
    assert book["bids"][0][0] < book["asks"][0][0]
    assert sum(trade["amount"] for trade in trades) == pytest.approx(ticker["baseVolume"])
    assert (fee["maker"], fee["taker"]) == (0.001, 0.001)
