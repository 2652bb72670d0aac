"""The demo and the crash test as a user starts them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
PATIENCE_S = 280


async def run(*arguments: str) -> tuple[int, Any]:
    """Run `gridkeeper` in a process of its own; its exit code and the JSON it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        "-o",
        "json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if "GRIDKEEPER" not in name},
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert out, err.decode()
    return process.returncode or 0, json.loads(out)


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
    code, result = await run("crash-test", "--kills", "8", "--seed", "3")

    assert code == 0, result
    assert result["seed"] == 3
    assert len(result["kills"]) == 8
    assert result["stuck"] == []
    assert result["audit"]["ok"]
