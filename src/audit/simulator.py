"""Access to the simulated exchange: its ledger file, and its market to be held still."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class SimulatorAccess:
    """Reads a simulator's data directory; what an exchange acknowledged is in its file before.

    Parameters
    ----------
    account : str or None
        The exchange's name of the account to audit; may be left out where there is only one.
    """

    def __init__(self, directory: Path, account: str | None = None) -> None:
        self.account = account
        self._directory = directory

    def read(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The whole records behind a byte offset, and the offset behind them."""
        with (self._directory / "ledger.jsonl").open("rb") as file:
            file.seek(offset)
            block = file.read()
        # A line that is still being written, or was cut by a crash, was not acknowledged.
        whole = block[: block.rfind(b"\n") + 1]
        records = [json.loads(line) for line in whole.splitlines()]
        return records, offset + len(whole)

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Hold every market still for the block; those that stood still before go on doing so."""
        address = json.loads((self._directory / "simulator.json").read_bytes())
        url = f"http://{address['host']}:{address['control_port']}"
        headers = {"Authorization": f"Bearer {address['control_token']}"}
        async with aiohttp.ClientSession(
            url, headers=headers, timeout=_TIMEOUT, raise_for_status=True
        ) as session:
            async with session.get("/control/state") as reply:
                state = await reply.json()
            moving = [name for name in state["last_trade_ids"] if name not in state["frozen"]]
            try:
                for symbol in moving:
                    await _freeze(session, symbol, frozen=True)
                yield
            finally:
                for symbol in moving:
                    await _freeze(session, symbol, frozen=False)


async def _freeze(session: aiohttp.ClientSession, symbol: str, *, frozen: bool) -> None:
    body = {"symbol": symbol, "frozen": frozen}
    async with session.post("/control/freeze", json=body) as reply:
        await reply.read()
