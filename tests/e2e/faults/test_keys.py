"""A key that was rotated at the exchange is taken by a node that runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.system import RunningSystem, eventually, running_system

ACCOUNT = "main"
FIRST = ("sim-key", "sim-secret")
SECOND = ("second-key-of-the-account", "second-secret-of-the-account")
THIRD = ("third-key-of-the-account", "third-secret-of-the-account")
#: By the settings the symbols try refused keys every 15 s.
TRIES_MAX = 8


async def test_row_24_rotated_key_is_taken_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    write(file, FIRST)
    async with running_system(
        GRIDKEEPER_ACCOUNT__KEY_FILE=str(file), GRIDKEEPER_RECONCILE_EVERY_S="3"
    ) as trading:
        system = trading.system
        await trading.add("BTC/USDT", "ETH/USDT")
        pid = system.node_pid

        # The exchange refuses the key in use before the new one is in the file.
        await rotate(trading, SECOND)
        await trading.until_rows("SELECT 1 FROM shards WHERE status = 'halted' HAVING count(*) = 2")
        write(file, SECOND)
        await until_logged(trading, "keys_taken", 1)
        await trading.assert_sound()
        assert system.log_tail("node", 10_000).count("keys_refused") <= TRIES_MAX

        # The new key is in the file first, and the node is told.
        write(file, THIRD)
        await rotate(trading, THIRD)
        os.kill(pid, signal.SIGHUP)
        await until_logged(trading, "keys_taken", 2)
        await trading.assert_sound()

        assert system.node_pid == pid
        assert system.node is not None
        assert system.node.returncode is None
        told = system.log_tail("node", 10_000)
        assert not [secret for secret in (*SECOND, *THIRD) if secret in told]


def write(file: Path, keys: tuple[str, str]) -> None:
    """As an operator replaces it: whole, and closed to others."""
    fresh = file.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_text("\n".join(keys))
    fresh.replace(file)


async def rotate(trading: RunningSystem, keys: tuple[str, str]) -> None:
    key, secret = keys
    body = {"account": ACCOUNT, "api_key": key, "api_secret": secret}
    await trading.system.control("/control/key", body)


async def until_logged(trading: RunningSystem, event: str, times: int) -> None:
    async def is_logged() -> bool:
        return trading.system.log_tail("node", 10_000).count(event) >= times

    await eventually(is_logged, f"{event}, {times} times")
