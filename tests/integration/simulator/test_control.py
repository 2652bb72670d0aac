"""The control API: guarded, truthful, and a hand on the market."""

from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from integration.simulator.harness import Simulator

SYMBOL = "BTC/USDT"


async def test_control_without_the_token_is_refused(simulator: Simulator) -> None:
    url = f"http://127.0.0.1:{simulator.address.control_port}/control/state"
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert reply.status == 401


async def test_ledger_is_read_in_parts_without_gaps(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    for _ in range(3):
        await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 60_000)
    part = await simulator.control("GET", "ledger?after=1&limit=2")

    assert [record["seq"] for record in part["records"]] == [2, 3]
    assert part["last_seq"] == 5  # two deposits came first
    assert (await simulator.ledger())[0]["initial"] is True


async def test_order_by_hand_is_seen_by_the_client(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    body = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "60000"}
    placed = await simulator.control("POST", "order", body)

    (order,) = await binance.fetch_open_orders(SYMBOL)
    assert order["clientOrderId"].startswith("web_")
    cancel = {"symbol": "BTCUSDT", "order_id": placed["orderId"]}
    assert await simulator.control("POST", "cancel", cancel) == {"cancelled": 1}
    assert await binance.fetch_open_orders(SYMBOL) == []


async def test_deposit_and_withdrawal_move_the_balance(binance: Any, simulator: Simulator) -> None:
    for amount in ("5", "-2.5"):
        body = {"account": "main", "asset": "BTC", "amount": amount}
        await simulator.control("POST", "deposit", body)
    assert (await binance.fetch_balance())["BTC"]["total"] == 2.5
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await simulator.control(
            "POST", "deposit", {"account": "main", "asset": "BTC", "amount": "-3"}
        )


async def test_price_moved_prints_through_every_order_between(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    for price in (61_000, 60_500, 60_000):
        await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.5, price)
    await simulator.control("POST", "price", {"symbol": "BTCUSDT", "price": "60200"})

    (left,) = await binance.fetch_open_orders(SYMBOL)
    assert left["price"] == 60_000
    state = await simulator.control("GET", "state")
    assert Decimal(state["last_prices"]["BTCUSDT"]) == 60_200


async def test_state_balances_against_fees_and_counterparty(
    binance: Any, simulator: Simulator
) -> None:
    await binance.create_order(SYMBOL, "market", "buy", 0.5)
    await binance.create_order(SYMBOL, "market", "sell", 0.2)
    await simulator.freeze()
    state = await simulator.control("GET", "state")
    account = state["accounts"]["main"]

    for asset, balance in account["balances"].items():
        held = Decimal(balance["free"]) + Decimal(balance["locked"])
        elsewhere = Decimal(state["fees"].get(asset, 0)) + Decimal(
            state["counterparty"].get(asset, 0)
        )
        assert held + elsewhere == Decimal(account["initial"].get(asset, 0))
