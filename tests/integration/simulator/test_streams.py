"""WebSockets as unmodified ccxt.pro sees them."""

import asyncio
from typing import Any

import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually, subscribe

SYMBOL = "BTC/USDT"
WATCH_TIMEOUT_S = 5.0
USER_STREAM = "wss://ws-api.binance.com:443/ws-api/v3"


async def test_market_streams_deliver_quotes_trades_tickers_and_depth(binance: Any) -> None:
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        best, trades, mini, full, book = await asyncio.gather(
            binance.watch_bids_asks([SYMBOL, "ETH/USDT"]),
            binance.watch_trades(SYMBOL),
            binance.watch_ticker(SYMBOL),
            binance.watch_ticker("ETH/USDT", {"name": "ticker"}),
            binance.watch_order_book(SYMBOL),
        )
    assert all(quote["bid"] < quote["ask"] for quote in best.values())
    assert trades[0]["symbol"] == SYMBOL
    assert mini["timestamp"] > 0
    assert full["bid"] < full["ask"]
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_depth_stream_stays_equal_to_the_snapshot(binance: Any, simulator: Simulator) -> None:
    await binance.watch_order_book(SYMBOL)
    watching = asyncio.create_task(watch_for_ever(binance))

    async def has_many_updates() -> bool:
        return int(binance.orderbooks[SYMBOL]["nonce"] or 0) > int(first_nonce) + 20

    async def equals_snapshot() -> bool:
        watched = binance.orderbooks[SYMBOL]
        return all(list(watched[side]) == snapshot[side] for side in ("bids", "asks"))

    first_nonce = binance.orderbooks[SYMBOL]["nonce"]
    await eventually(has_many_updates)
    await simulator.freeze()
    snapshot = await binance.fetch_order_book(SYMBOL)
    await eventually(equals_snapshot)
    assert not watching.done()
    watching.cancel()


async def watch_for_ever(binance: Any) -> None:
    while True:
        await binance.watch_order_book(SYMBOL)


async def test_mini_ticker_carries_the_time_though_the_market_stands_still(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        first = (await binance.watch_ticker(SYMBOL))["timestamp"]
        second = (await binance.watch_ticker(SYMBOL))["timestamp"]
    assert 500 <= second - first <= 2_500


async def test_user_stream_reports_orders_trades_and_balances(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    watches = {
        "orders": asyncio.create_task(binance.watch_orders()),
        "trades": asyncio.create_task(binance.watch_my_trades()),
        "balance": asyncio.create_task(binance.watch_balance()),
    }

    async def subscribed() -> bool:
        client = binance.clients.get(USER_STREAM)
        return client is not None and "spot:balance" in client.futures

    await eventually(subscribed)
    placed = await binance.create_order(SYMBOL, "market", "buy", 0.01)
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        orders, trades, balance = await asyncio.gather(*watches.values())

    assert orders[0]["id"] == placed["id"]
    assert (trades[0]["order"], trades[0]["amount"]) == (placed["id"], 0.01)
    assert balance["BTC"]["free"] == pytest.approx(0.00999)


async def test_user_stream_with_a_wrong_signature_delivers_nothing(simulator: Simulator) -> None:
    stranger = await simulator.client(secret="wrong")
    await stranger.load_markets()
    # ccxt 4.5.90 deletes its subscription twice on a refusal, so the refusal shows as KeyError
    with pytest.raises(KeyError, match="spot"):
        await stranger.watch_orders()


async def test_user_stream_refusal_names_its_reason(simulator: Simulator) -> None:
    stranger = await simulator.client(secret="wrong")
    session = await simulator.session()
    async with session.ws_connect(USER_STREAM) as socket:
        params = stranger.sign_params({})
        request = {"id": "1", "method": "userDataStream.subscribe.signature", "params": params}
        await socket.send_json(request)
        answer = await socket.receive_json()
        assert (answer["status"], answer["error"]["code"]) == (400, -1022)


async def test_replacement_that_is_refused_is_reported_after_the_cancel(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    events = await subscribe(simulator, binance)
    old = await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 60_000)

    with pytest.raises(ccxt.BaseError, match="-2021"):
        await binance.edit_order(old["id"], SYMBOL, "limit", "buy", 0.00001, 60_000)

    assert await events.executions(3) == ["NEW", "CANCELED", "REJECTED"]
    assert await binance.fetch_open_orders(SYMBOL) == []


async def test_unknown_stream_is_refused(simulator: Simulator) -> None:
    session = await simulator.session()
    async with session.ws_connect("wss://stream.binance.com:9443/ws/0") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 1})
        assert (await socket.receive_json())["error"]["code"] == 2
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert await socket.receive_json() == {"result": None, "id": 2}
        async with asyncio.timeout(WATCH_TIMEOUT_S):
            assert (await socket.receive_json())["e"] == "trade"


async def test_combined_stream_names_its_stream(simulator: Simulator) -> None:
    session = await simulator.session()
    url = "wss://stream.binance.com:9443/stream?streams=btcusdt@bookTicker/ethusdt@trade"
    async with asyncio.timeout(WATCH_TIMEOUT_S), session.ws_connect(url) as socket:
        names = {(await socket.receive_json())["stream"] for _ in range(40)}
    assert names == {"btcusdt@bookTicker", "ethusdt@trade"}
