"""What programs and people read on stdout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from cli.render import Column, plain, show_facts, show_rows, to_document, words
from cli.session import Format


@dataclass(frozen=True)
class Row:
    name: str
    price: Decimal | None
    at: datetime


ROW = Row(
    "[bold]a", Decimal("61706.10"), datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))
)
COLUMNS = (
    Column[Row]("name", lambda row: row.name),
    Column[Row]("price", lambda row: row.price),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1000", "1000"), ("1E+3", "1000"), ("0.10", "0.1"), ("0E-8", "0"), ("-1.50", "-1.5")],
)
def test_plain_has_no_exponent_and_no_trailing_zeros(value: str, expected: str) -> None:
    assert plain(Decimal(value)) == expected


def test_plain_keeps_every_digit_of_a_long_number() -> None:
    assert plain(Decimal("123456789012345678901234567890.123456789")) == (
        "123456789012345678901234567890.123456789"
    )


def test_to_document_has_strings_for_decimals_and_utc_for_times() -> None:
    assert to_document([ROW]) == [
        {"name": "[bold]a", "price": "61706.1", "at": "2026-01-02T02:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "–", id="none"),
        pytest.param("", "–", id="empty"),
        pytest.param(False, "no", id="bool"),
        pytest.param(0, "0", id="zero"),
        pytest.param({"BTC": Decimal("0.10")}, "BTC 0.1", id="flat mapping"),
        pytest.param({"a": {"b": Decimal(1)}}, '{"a": {"b": "1"}}', id="nested mapping"),
        pytest.param(["a", "b"], "a, b", id="list"),
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05", id="time"),
    ],
)
def test_words_of_a_value(value: object, expected: str) -> None:
    assert words(value) == expected


def test_show_rows_as_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([ROW], COLUMNS, Format.JSON, empty="none")
    (shown,) = json.loads(capsys.readouterr().out)
    assert list(shown) == ["name", "price", "at"]


def test_show_rows_as_table_takes_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([ROW], COLUMNS, Format.TABLE, empty="none")
    out = capsys.readouterr().out
    assert "[bold]a" in out
    assert "61706.1" in out


def test_show_rows_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([], COLUMNS, Format.TABLE, empty="no rows")
    assert capsys.readouterr().out.strip() == "no rows"
    show_rows([], COLUMNS, Format.JSON, empty="no rows")
    assert json.loads(capsys.readouterr().out) == []


def test_show_facts_names_each_fact(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"last_seen": None}, Format.TABLE)
    assert capsys.readouterr().out.split() == ["last", "seen", "–"]
