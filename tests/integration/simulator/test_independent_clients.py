"""Clients that share no code with ccxt accept the simulator: the venue's SDK, python-binance."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from binance_sdk_spot.rest_api import models as rest_models
from binance_sdk_spot.spot import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    Spot,
)

from integration.simulator.harness import LoopbackResolver, Simulator

with warnings.catch_warnings():
    # python-binance imports the names that websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance.async_client import AsyncClient
    from binance.ws.streams import BinanceSocketManager

SYMBOL = "BTCUSDT"
TIMEOUT_S = 10.0


@pytest.fixture(autouse=True)
async def still_market(simulator: Simulator) -> None:
    await simulator.freeze()


@pytest.fixture
def trusted(simulator: Simulator) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(simulator.address.ca_path))


@pytest.fixture
def sdk(simulator: Simulator, trusted: ssl.SSLContext) -> Iterator[Spot]:
    where = f"127.0.0.1:{simulator.address.port}"
    keys = {"api_key": "sim-key", "api_secret": "sim-secret"}
    spot = Spot(
        ConfigurationRestAPI(**keys, base_path=f"https://{where}", https_agent=trusted, retries=0),
        ConfigurationWebSocketAPI(
            **keys, stream_url=f"wss://{where}/ws-api/v3", https_agent=trusted
        ),
        ConfigurationWebSocketStreams(stream_url=f"wss://{where}", https_agent=trusted),
    )
    yield spot
    spot.rest_api._session.close()  # it offers no other way


@pytest.fixture
async def python_binance(
    simulator: Simulator, trusted: ssl.SSLContext
) -> AsyncIterator[AsyncClient]:
    connector = aiohttp.TCPConnector(
        resolver=LoopbackResolver(simulator.address.port), ssl=trusted, use_dns_cache=False
    )
    client = await AsyncClient.create(
        "sim-key", "sim-secret", session_params={"connector": connector}
    )
    yield client
    await client.close_connection()


async def asked(call: Any, *values: Any, **names: Any) -> Any:
    """The SDK's REST client blocks, and checks every answer against the venue's schemas."""
    return (await asyncio.to_thread(call, *values, **names)).data()


async def test_sdk_reads_public_data(sdk: Spot) -> None:
    rest = sdk.rest_api
    assert (await asked(rest.time)).server_time > 0
    rules = (await asked(rest.exchange_info, symbol=SYMBOL)).symbols
    assert [item.symbol for item in rules] == [SYMBOL]
    depth = await asked(rest.depth, SYMBOL, limit=5)
    assert len(depth.bids) == len(depth.asks) == 5
    assert (await asked(rest.get_trades, SYMBOL))[-1].is_buyer_maker in {True, False}
    assert (await asked(rest.agg_trades, SYMBOL))[-1].p is not None
    interval = rest_models.KlinesIntervalEnum["INTERVAL_5m"]
    assert len((await asked(rest.klines, SYMBOL, interval))[-1]) == 12
    best = (await asked(rest.ticker_book_ticker, symbol=SYMBOL)).actual_instance
    assert float(best.bid_price) < float(best.ask_price)


async def test_sdk_trades(sdk: Spot) -> None:
    rest = sdk.rest_api
    buy, limit = rest_models.NewOrderSideEnum.BUY, rest_models.NewOrderTypeEnum.LIMIT
    good_till_cancelled = rest_models.NewOrderTimeInForceEnum.GTC
    resting = await asked(
        rest.new_order,
        SYMBOL,
        buy,
        limit,
        time_in_force=good_till_cancelled,
        quantity=0.01,
        price=60_000,
        new_client_order_id="by-sdk",
    )
    assert (resting.status, resting.client_order_id) == ("NEW", "by-sdk")
    bought = await asked(
        rest.new_order, SYMBOL, buy, rest_models.NewOrderTypeEnum.MARKET, quantity=0.02
    )
    assert bought.fills[0].commission_asset == "BTC"
    assert (await asked(rest.get_order, SYMBOL, orig_client_order_id="by-sdk")).is_working
    assert len(await asked(rest.get_open_orders, symbol=SYMBOL)) == 1
    replaced = await asked(
        rest.order_cancel_replace,
        SYMBOL,
        rest_models.OrderCancelReplaceSideEnum.BUY,
        rest_models.OrderCancelReplaceTypeEnum.LIMIT_MAKER,
        rest_models.OrderCancelReplaceCancelReplaceModeEnum.STOP_ON_FAILURE,
        cancel_order_id=resting.order_id,
        quantity=0.01,
        price=59_000,
    )
    assert (replaced.cancel_result, replaced.new_order_result) == ("SUCCESS", "SUCCESS")
    assert len(await asked(rest.delete_open_orders, SYMBOL)) == 1
    assert len(await asked(rest.all_orders, SYMBOL)) == 3
    assert {trade.order_id for trade in await asked(rest.my_trades, SYMBOL)} == {bought.order_id}
    balances = (await asked(rest.get_account)).balances
    assert {row.asset for row in balances} >= {"BTC", "USDT"}


async def test_sdk_streams_market_and_user_data(sdk: Spot, simulator: Simulator) -> None:
    received: asyncio.Queue[Any] = asyncio.Queue()
    streams = sdk.websocket_streams
    await streams.create_connection()
    try:
        handles = [
            await streams.trade(symbol=SYMBOL.lower()),
            await streams.book_ticker(symbol=SYMBOL.lower()),
            await streams.mini_ticker(symbol=SYMBOL.lower()),
            await streams.kline(symbol=SYMBOL.lower(), interval="1m"),
        ]
        for handle in handles:
            handle.on("message", received.put_nowait)
        await simulator.control("POST", "freeze", {"symbol": "all", "frozen": False})
        seen: set[str] = set()
        async with asyncio.timeout(TIMEOUT_S):
            while len(seen) < len(handles):
                seen.add(type(await received.get()).__name__)
    finally:
        await streams.close_connection()
    assert seen == {"TradeResponse", "BookTickerResponse", "MiniTickerResponse", "KlineResponse"}


@pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning")
async def test_sdk_hears_of_its_orders_over_the_websocket_api(sdk: Spot) -> None:
    received: asyncio.Queue[Any] = asyncio.Queue()
    api = sdk.websocket_api
    await api.create_connection()
    try:
        subscribed = await api.user_data_stream_subscribe_signature()
        subscribed.stream.on("message", received.put_nowait)
        placed = await api.order_place(
            symbol=SYMBOL, side="BUY", type="LIMIT_MAKER", quantity=0.01, price=60_000
        )
        cancelled = await api.order_cancel(symbol=SYMBOL, order_id=placed.data().result.order_id)
        assert cancelled.data().result.status == "CANCELED"
        async with asyncio.timeout(TIMEOUT_S):
            executions = []
            while len(executions) < 2:
                event = (await received.get()).actual_instance
                if type(event).__name__ == "ExecutionReport":
                    executions.append(event.x)
    finally:
        await api.close_connection()
    assert executions == ["NEW", "CANCELED"]


async def test_python_binance_trades_spot(python_binance: AsyncClient) -> None:
    info = await python_binance.get_symbol_info(SYMBOL)
    assert info["filters"][0]["filterType"] == "PRICE_FILTER"
    placed = await python_binance.order_limit_buy(symbol=SYMBOL, quantity="0.01", price="60000")
    assert [order["orderId"] for order in await python_binance.get_open_orders(symbol=SYMBOL)] == [
        placed["orderId"]
    ]
    await python_binance.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
    bought = await python_binance.order_market_buy(symbol=SYMBOL, quantity="0.02")
    assert bought["status"] == "FILLED"
    assert (await python_binance.get_my_trades(symbol=SYMBOL))[0]["isBuyer"] is True
    assert float((await python_binance.get_asset_balance("BTC"))["free"]) > 0
    assert len((await python_binance.get_klines(symbol=SYMBOL, interval="1m"))[-1]) == 12


async def test_python_binance_trades_futures(python_binance: AsyncClient) -> None:
    await python_binance.futures_change_leverage(symbol=SYMBOL, leverage=10)
    placed = await python_binance.futures_create_order(
        symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.05", newOrderRespType="RESULT"
    )
    assert placed["status"] == "FILLED"
    (position,) = await python_binance.futures_position_information(symbol=SYMBOL)
    assert position["positionAmt"] == "-0.05"
    wallet = (await python_binance.futures_account_balance())[0]
    assert wallet["asset"] == "USDT"
    assert len(await python_binance.futures_account_trades(symbol=SYMBOL)) == 1
    assert (await python_binance.futures_mark_price(symbol=SYMBOL))["nextFundingTime"] > 0


async def test_python_binance_reads_streams(
    python_binance: AsyncClient, simulator: Simulator, trusted: ssl.SSLContext
) -> None:
    manager = BinanceSocketManager(python_binance)
    manager.ws_kwargs = {"ssl": trusted, "host": "127.0.0.1", "port": simulator.address.port}
    await simulator.control("POST", "freeze", {"symbol": "all", "frozen": False})
    async with asyncio.timeout(TIMEOUT_S):
        async with manager.trade_socket(SYMBOL) as trades:
            assert (await trades.recv())["e"] == "trade"
        async with manager.kline_socket(SYMBOL) as klines:
            assert (await klines.recv())["k"]["i"] == "1m"
        async with manager.multiplex_socket(["btcusdt@bookTicker", "ethusdt@depth"]) as both:
            assert "data" in await both.recv()
