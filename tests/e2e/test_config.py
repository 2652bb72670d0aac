"""An account kept as a file declares it, and settings that change while a node runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from cli.exits import Exit
from cli.local_system import demo_spec
from orchestrator.bootstrap import new_request_id
from support.system import PATIENCE_S, RunningSystem, eventually, running_system

COMMAND_S = 90
#: Its step is no whole number of ticks, and the auditor judges the levels that come of it.
DIVIDED = {
    "spacing": {"kind": "division", "count": 64},
    "range": {"kind": "fixed", "lower": "2600", "upper": "2760"},
}


class File:
    """A file of symbols, and `gridkeeper config` on it."""

    def __init__(self, trading: RunningSystem) -> None:
        self._trading = trading
        self._path = trading.system.data_dir / "symbols.yaml"

    def declare(self, **budgets: str) -> None:
        symbols = {
            f"{base}/USDT": demo_spec()
            | {"budget_quote": budget}
            | (DIVIDED if base == "ETH" else {})
            for base, budget in budgets.items()
        }
        self._path.write_text(yaml.safe_dump({"account": "sim", "symbols": symbols}))

    async def ask(self, verb: str, *arguments: str, code: Exit = Exit.OK) -> Any:
        system = self._trading.system
        kept = {name: text for name, text in os.environ.items() if "GRIDKEEPER" not in name}
        command = ["config", verb, "-f", str(self._path), *arguments, "-o", "json"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *command),
            env=kept
            | {
                "GRIDKEEPER_DATA_DIR": str(system.data_dir),
                "GRIDKEEPER_ACCOUNT__SIMULATOR_DIR": str(system.simulator_dir),
            },
            cwd=Path(system.data_dir),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(COMMAND_S):
            out, err = await process.communicate()
        assert process.returncode == code, (out + err).decode()
        answer = json.loads(out)
        if verb == "apply":
            self._trading.acknowledged += [each["workflow_id"] for each in answer["changes"]]
        return answer


def outcomes(answer: Any) -> list[tuple[str, str, str]]:
    return [(each["symbol"], each["action"], each["outcome"]) for each in answer["changes"]]


async def test_file_is_applied_once_however_often_and_pruned_when_asked() -> None:
    async with running_system() as trading:
        file = File(trading)
        file.declare(BTC="1000", ETH="1000")
        first = await file.ask("apply", "--yes", "--wait")
        assert outcomes(first) == [("BTC/USDT", "add", "done"), ("ETH/USDT", "add", "done")]
        assert outcomes(await file.ask("apply")) == []
        assert (await file.ask("diff"))["differs"] is False
        await trading.exchange_has_traded(2)

        file.declare(BTC="1500")
        update, undeclared = (await file.ask("diff", code=Exit.FAILED))["symbols"]
        assert (update["symbol"], update["action"]) == ("BTC/USDT", "update")
        assert update["preview"]["then"]["budget_quote"] == "1500"
        assert (undeclared["symbol"], undeclared["action"]) == ("ETH/USDT", "undeclared")

        await trading.system.kill_node()
        kept = [await file.ask("apply", "--yes", "--no-wait") for _ in range(2)]
        assert kept[0]["changes"] == kept[1]["changes"]
        await trading.system.start_node()
        (asked,) = kept[0]["changes"]
        progress = await trading.database.requests.wait(asked["workflow_id"], PATIENCE_S)
        assert progress.result is not None
        assert progress.result["outcome"] == "done"
        assert outcomes(await file.ask("apply")) == []
        versions = "SELECT specs.spec ->> 'budget_quote' FROM specs JOIN shards USING (shard)"
        made = await trading.rows(f"{versions} WHERE symbol = 'BTC/USDT' ORDER BY version")
        assert [row[0] for row in made] == ["1000", "1500"]

        pruned = await file.ask("apply", "--prune", "--yes-prune", "--wait")
        assert outcomes(pruned) == [("ETH/USDT", "remove", "done")]
        assert outcomes(await file.ask("apply", "--prune")) == []
        active = await trading.rows("SELECT symbol FROM shards WHERE status <> 'removed'")
        assert [row.symbol for row in active] == ["BTC/USDT"]
        await trading.assert_sound()


async def test_settings_are_read_again_while_the_node_runs(tmp_path: Path) -> None:
    settings = tmp_path / "gridkeeper.yaml"
    settings.write_text("risk: {max_symbols: 1}\n")
    async with running_system(GRIDKEEPER_CONFIG=str(settings)) as trading:
        system, requests = trading.system, trading.database.requests

        async def reload(text: str, event: str, times: int) -> None:
            settings.write_text(text)
            os.kill(system.node_pid, signal.SIGHUP)

            async def told() -> bool:
                return system.log_tail("node", 1000).count(event) >= times

            await eventually(told, f"{event}, {times} times")

        async def add(symbol: str) -> tuple[str, str]:
            asked = await requests.add(symbol, demo_spec(), new_request_id())
            trading.acknowledged.append(asked)
            result = (await requests.wait(asked, PATIENCE_S)).result or {}
            return str(result.get("outcome")), str(result.get("reason"))

        assert (await add("BTC/USDT"))[0] == "done"
        outcome, reason = await add("ETH/USDT")
        assert outcome == "refused"
        assert "max_symbols" in reason

        await reload("risk: {max_symbols: [\n", "settings_refused", 1)
        await reload("risk: {max_symbols: 2}\nlease_s: 60\n", "settings_refused", 2)
        assert "lease_s" in system.log_tail("node", 1000)
        assert (await add("ETH/USDT"))[0] == "refused"

        await reload("risk: {max_symbols: 2}\n", "settings_reloaded", 1)
        assert (await add("ETH/USDT"))[0] == "done"
        await trading.assert_sound()
