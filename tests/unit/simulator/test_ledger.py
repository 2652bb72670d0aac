"""The ledger: what was appended is read back, a torn line is dropped, one writer at a time."""

from pathlib import Path

import orjson
import pytest

from simulator.config import ConfigurationError
from simulator.ledger import Ledger
from simulator.records import Deposited


def a_deposit(amount_e8: int) -> Deposited:
    return Deposited(time_ms=1, account="main", asset="USDT", amount_e8=amount_e8, initial=False)


def test_ledger_reopened_returns_its_records(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, fsync=True)
    ledger.append("spot", [a_deposit(1), a_deposit(-2)])
    ledger.close()

    reopened = Ledger(path)

    assert list(reopened.recover()) == [("spot", a_deposit(1)), ("spot", a_deposit(-2))]
    reopened.append("spot", [a_deposit(3)])
    assert [orjson.loads(line)["seq"] for line in reopened.read_after(1)] == [2, 3]
    reopened.close()


def test_ledger_with_torn_last_line_goes_on_behind_the_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append("spot", [a_deposit(1), a_deposit(2)])
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])

    reopened = Ledger(path)

    assert list(reopened.recover()) == [("spot", a_deposit(1))]
    reopened.append("spot", [a_deposit(2)])
    reopened.close()
    assert [orjson.loads(line)["amount"] for line in path.read_bytes().splitlines()] == [
        "0.00000001",
        "0.00000002",
    ]


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        pytest.param(0, 2, [1, 2], id="from-the-beginning"),
        pytest.param(2, 10, [3], id="rest"),
        pytest.param(3, 10, [], id="nothing-new"),
        pytest.param(-5, 1, [1], id="negative"),
    ],
)
def test_ledger_read_after_returns_a_bounded_part(
    tmp_path: Path, after: int, limit: int, expected: list[int]
) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("spot", [a_deposit(number) for number in range(3)])

    lines = ledger.read_after(after, limit)

    assert [orjson.loads(line)["seq"] for line in lines] == expected
    ledger.close()


def test_ledger_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    with pytest.raises(ConfigurationError, match="in use"):
        Ledger(path)
    ledger.close()
