"""The demo and the crash test as a user starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.program import requests_checked, run

#: Of the eight failpoints and processes that it kills at, three are failpoints of requests.
SEED_OF_REQUESTS = "610"
RECORDINGS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


async def test_demo_trades_three_symbols_and_audits_clean() -> None:
    code, result = await run("demo", "--duration", "40", "--seed", "1")

    assert code == 0, result
    assert result["audit"]["ok"]
    assert len(result["symbols"]) == 3
    assert all(symbol["fills"] >= 5 for symbol in result["symbols"])
    assert all(symbol["matched_pairs"] >= 1 for symbol in result["symbols"])


async def test_demo_without_enough_fills_fails() -> None:
    code, result = await run("demo", "--duration", "1", "--seed", "1")

    assert code == 1, result
    assert not result["ok"]


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")
async def test_demo_trades_recorded_market() -> None:
    code, result = await run("demo", "--duration", "45", "--replay", str(RECORDINGS))

    assert code == 0, result
    assert result["audit"]["ok"]
    assert {symbol["symbol"] for symbol in result["symbols"]} == {"BTC/USDT", "ETH/USDT"}
    assert "speed × 10" in result["market"]


async def test_crash_test_ends_by_itself_and_finds_nothing() -> None:
    code, result = await run("crash-test", "--kills", "8", "--seed", SEED_OF_REQUESTS)

    assert code == 0, result
    assert result["seed"] == int(SEED_OF_REQUESTS)
    assert len(result["kills"]) == 8
    assert result["stuck"] == []
    assert result["audit"]["ok"]
    assert requests_checked(result["audit"]) > 3
    reached = {kill["detail"] for kill in result["kills"] if kill["reached"]}
    assert any(point.startswith("apply_change.") for point in reached), result["kills"]
