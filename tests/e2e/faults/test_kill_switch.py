"""The kill switch measured by the exchange's ledger: what it accepts and has open afterwards."""

from __future__ import annotations

from cli.local_system import Market
from orchestrator.bootstrap import new_request_id
from support.system import RunningSystem, running_system

KILLS = 4
#: Prices move so often that orders are under way whenever the switch is thrown.
MARKET = Market(symbols=("BTC/USDT", "ETH/USDT"), ticks_per_s=50)


async def test_row_29_nothing_is_accepted_1_s_after_a_kill_and_nothing_is_open_after_5_s() -> None:
    async with running_system(market=MARKET) as trading:
        await trading.add(*MARKET.symbols)
        requests = trading.database.requests
        for number in range(KILLS):
            await until_orders_come_and_go(trading)
            asked = await requests.kill(f"kill {number}", new_request_id())
            killed = await requests.wait(asked, 30)
            assert killed.result is not None
            assert killed.result["outcome"] == "done", killed
            trading.acknowledged += [asked, await requests.rearm("again", new_request_id())]
        await trading.assert_sound(measures_kills=True)
        report = await trading.audit(measures_kills=True)
        (measured,) = [result for result in report.results if result.name == "I6"]
        assert measured.checked["kills"] == KILLS
        assert measured.checked["orders"] > 10 * KILLS


async def until_orders_come_and_go(trading: RunningSystem) -> None:
    """Both symbols decide again and again."""
    decided = await trading.value("SELECT count(*) FROM decisions")
    await trading.until_rows("SELECT 1 FROM decisions HAVING count(*) > :n + 10", n=decided)
    await trading.until_rows(
        "SELECT 1 FROM orders WHERE status = 'open' HAVING count(DISTINCT shard) = 2"
    )
