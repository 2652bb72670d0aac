"""Files of symbols: read exactly, and refused whole with the line of everything that is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from cli.declaration import read_declaration
from cli.errors import InvalidSettings
from cli.exits import Exit
from domain.errors import ConfigurationError
from grid.spec import ArithmeticSpacing, DivisionSpacing
from risk.reservations import PortfolioLimits
from support.command_line import CommandLine

EXAMPLE = Path(__file__).parents[3] / "configs" / "symbols.example.yaml"
GRID = """
    spacing: {kind: arithmetic, step: 0.1}
    range: {kind: window, buy_window: 5, sell_window: 5}
    order_size: {kind: quote, amount: 50}
    budget_quote: 1000
"""
TWO = f"account: sim\nsymbols:\n  BTC/USDT:{GRID}  ETH/USDT:{GRID}"
ANYTHING = PortfolioLimits()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "symbols.yaml"


def problems_of(
    file: Path, text: str, limits: PortfolioLimits = ANYTHING
) -> list[ConfigurationError]:
    file.write_text(text)
    with pytest.raises(InvalidSettings) as refused:
        read_declaration(file, "sim", limits)
    return list(refused.value.problems)


def test_example_is_a_declaration() -> None:
    declared = read_declaration(EXAMPLE, "sim", ANYTHING)
    assert list(declared.symbols) == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    assert declared.symbols["BTC/USDT"].budget_quote == 2000
    assert isinstance(declared.symbols["SOL/USDT"].spacing, DivisionSpacing)


def test_numbers_are_read_as_written_and_json_too(file: Path) -> None:
    file.write_text(TWO)
    spacing = read_declaration(file, "sim", ANYTHING).symbols["BTC/USDT"].spacing
    assert spacing == ArithmeticSpacing(step=Decimal("0.1"))
    file.write_text('{"symbols": {}}')
    assert read_declaration(file, "sim", ANYTHING).symbols == {}


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        pytest.param("step: 0.1", "step: -1", "symbols.BTC/USDT.spacing.step", 4, id="value"),
        pytest.param(
            "budget_quote: 1000", "budget: 1000", "symbols.BTC/USDT.budget_quote", 3, id="missing"
        ),
        pytest.param("arithmetic", "fancy", "symbols.BTC/USDT.spacing", 4, id="kind"),
        pytest.param("buy_window: 5", "buy_window: 5.5", "range.buy_window", 5, id="not whole"),
        pytest.param("amount: 50", "amount: .nan", "file", 0, id="not a number"),
        pytest.param("BTC/USDT:", "btcusdt:", "symbols.btcusdt", 3, id="symbol"),
        pytest.param("ETH/USDT:", "BTC/USDT:", "BTC/USDT", 8, id="declared twice"),
        pytest.param("account: sim", "account: main", "account", 1, id="another account"),
        pytest.param("account: sim", "acount: sim", "acount", 1, id="mistyped name"),
        pytest.param("symbols:\n", "x-symbols:\n", "symbols", 1, id="no symbols"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    gridkeeper: CommandLine, file: Path, old: str, new: str, field: str, line: int
) -> None:
    """By the command, which needs no database."""
    assert old in TWO
    file.write_text(TWO.replace(old, new, 1))
    error = gridkeeper.json("config", "validate", "-f", str(file), code=Exit.INVALID)["error"]
    told = [error, *error.get("problems", [])]
    assert [each for each in told if field in each.get("field", "")], told
    if line:
        assert any(f"line {line}" in each.get("remedy", "") for each in told), told
    assert all(each.get("rule", "-") for each in told)


def test_everything_that_is_wrong_is_told_at_once(file: Path) -> None:
    told = problems_of(file, TWO.replace("step: 0.1", "step: 0").replace("1000", "-5"))
    assert [problem.field for problem in told] == [
        f"symbols.{symbol}.{field}"
        for symbol in ("BTC/USDT", "ETH/USDT")
        for field in ("spacing.step", "budget_quote")
    ]


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        pytest.param(PortfolioLimits(max_symbols=1), "risk.max_symbols", id="number"),
        pytest.param(
            PortfolioLimits(max_total_budget_any_quote=Decimal(1500)), "budget_quote", id="sum"
        ),
    ],
)
def test_limits_on_all_symbols_are_known_without_a_database(
    file: Path, limits: PortfolioLimits, field: str
) -> None:
    (problem,) = problems_of(file, TWO, limits)
    assert problem.field == f"symbols.ETH/USDT.{field}"


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [", "\x00", "a: &a [*a]\n", "7\n"])
def test_nonsense_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_declaration(file, "sim", ANYTHING)


def test_missing_and_huge_files_are_refused(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_declaration(file, "sim", ANYTHING)
    file.write_text("#" * ((1 << 20) + 1))
    with pytest.raises(ConfigurationError, match="more than"):
        read_declaration(file, "sim", ANYTHING)
