"""The whole state comes back from the ledger, whatever killed the process."""

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually, running
from simulator.config import SimulatorConfig
from simulator.server import read_address

SYMBOL = "BTC/USDT"
SOURCE = Path(__file__).parents[3] / "src"


async def start(data_dir: Path) -> tuple[asyncio.subprocess.Process, Simulator]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        "--data-dir",
        str(data_dir),
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line = await process.stdout.readline()
    assert line.startswith(b"trading ")
    return process, Simulator(read_address(data_dir))


async def stop(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    process.send_signal(number)
    async with asyncio.timeout(10):
        await process.communicate()


def folded(path: Path) -> dict[str, Any]:
    """Spot balances and open orders worked out from the ledger file alone."""
    total: dict[str, Decimal] = {}
    open_orders: dict[tuple[str, int], Decimal] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["market"] != "spot":
            continue
        key = (record.get("symbol", ""), record.get("order_id", 0))
        base = record.get("symbol", "").removesuffix("USDT")
        sign = 1 if record.get("side") == "BUY" else -1
        match record["kind"]:
            case "deposited":
                asset = record["asset"]
                total[asset] = total.get(asset, Decimal(0)) + Decimal(record["amount"])
            case "order_accepted":
                open_orders[key] = Decimal(record["quantity"])
            case "order_filled":
                quantity = Decimal(record["quantity"])
                open_orders[key] -= quantity
                if open_orders[key] == 0:
                    del open_orders[key]
                total[base] = total.get(base, Decimal(0)) + sign * quantity
                total["USDT"] -= sign * Decimal(record["quote"])
                total[record["fee_asset"]] -= Decimal(record["fee"])
            case "order_cancelled" | "order_expired":
                del open_orders[key]
    return {"total": total, "open": open_orders}


async def shown(simulator: Simulator) -> dict[str, Any]:
    """The same, as the running exchange shows it."""
    state = await simulator.control("GET", "state")
    account = state["accounts"]["main"]
    return {
        "total": {
            asset: Decimal(balance["free"]) + Decimal(balance["locked"])
            for asset, balance in account["balances"].items()
        },
        "open": {
            (order["symbol"], order["orderId"]): Decimal(order["origQty"])
            - Decimal(order["executedQty"])
            for order in account["open_orders"]
        },
    }


async def trade_on(binance: Any, acknowledged: dict[str, str]) -> None:
    """Place and cancel near the market until the connection dies."""
    dice = random.Random(1)
    while True:
        best = (await binance.fetch_bids_asks([SYMBOL]))[SYMBOL]
        price = best["bid"] * (1 - dice.randint(-2, 3) / 1e4)
        order = await binance.create_order(SYMBOL, "limit", "buy", 0.001, price)
        acknowledged[order["id"]] = order["clientOrderId"]
        if dice.random() < 0.2:
            with suppress(ccxt.OrderNotFound):  # all of them were filled
                await binance.cancel_all_orders(SYMBOL)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_killed_simulator_restarts_with_what_it_acknowledged(tmp_path: Path) -> None:
    data_dir = tmp_path / "simulator"
    process, simulator = await start(data_dir)
    binance = await simulator.client()
    await binance.load_markets()
    acknowledged: dict[str, str] = {}
    trading = asyncio.create_task(trade_on(binance, acknowledged))

    async def busy() -> bool:
        fills = len(await simulator.ledger("order_filled"))
        return len(acknowledged) >= 40 and fills >= 5

    await eventually(busy)
    await stop(process, signal.SIGKILL)
    with pytest.raises((ccxt.NetworkError, aiohttp.ClientError)):
        await trading
    await simulator.close()
    before = folded(data_dir / "ledger.jsonl")

    process, simulator = await start(data_dir)
    await simulator.freeze()
    after = folded(data_dir / "ledger.jsonl")
    assert after == await shown(simulator)
    assert before["open"].keys() >= after["open"].keys()
    accepted = {
        str(record["order_id"]): record["client_order_id"]
        for record in await simulator.ledger("order_accepted")
    }
    assert acknowledged.items() <= accepted.items()
    trade_ids = [record["trade_id"] for record in await simulator.ledger("order_filled")]
    assert trade_ids == sorted(set(trade_ids))
    await simulator.close()
    await stop(process, signal.SIGTERM)
    assert process.returncode == 0


async def test_restarted_simulator_keeps_address_price_and_ids(config: SimulatorConfig) -> None:
    async with running(config) as simulator:
        first = simulator.address
        binance = await simulator.client()
        await binance.load_markets()
        await simulator.freeze()
        await simulator.control("POST", "price", {"symbol": "BTCUSDT", "price": "55000.00"})
        order = await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 54_000)
    async with running(config) as simulator:
        assert simulator.address == first
        binance = await simulator.client()
        await binance.load_markets()
        await simulator.freeze()
        best = (await binance.fetch_bids_asks([SYMBOL]))[SYMBOL]
        assert best["bid"] == pytest.approx(55_000, rel=0.01)
        (kept,) = await binance.fetch_open_orders(SYMBOL)
        assert kept["id"] == order["id"]
        another = await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 54_000)
        assert int(another["id"]) == int(order["id"]) + 1
