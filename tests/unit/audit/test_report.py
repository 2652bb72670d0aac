"""A report cannot be clean without having looked, and says what it did not look at."""

from __future__ import annotations

import json

import pytest

from audit.report import NOT_CHECKED, Report, Result, Violation

VIOLATION = Violation("I3", "trade BTCUSDT 7", "quantity 1", "quantity 2")


def make_report(*violations: Violation, orders: int = 1, trades: int = 1) -> Report:
    return Report(
        results=(
            Result("I1", "one order an intent", {"orders": orders}, ()),
            Result("I3", "fills", {"trades": trades, "orders": orders}, violations),
            Result("I10", "requests", {"requests": 0}, ()),
        ),
        ledger_seq=12,
        looks=2,
    )


@pytest.mark.parametrize(
    ("report", "ok"),
    [
        pytest.param(make_report(), True, id="clean"),
        pytest.param(make_report(trades=0), True, id="orders-without-trades"),
        pytest.param(make_report(VIOLATION), False, id="violation"),
        pytest.param(make_report(orders=0, trades=0), False, id="nothing-to-check"),
        pytest.param(make_report(orders=0), False, id="no-orders"),
    ],
)
def test_report_is_ok_only_when_it_looked_and_found_nothing(report: Report, ok: bool) -> None:
    assert report.ok is ok
    assert report.to_json()["ok"] is ok
    assert report.to_text().startswith("audit passed" if ok else "audit FAILED")


def test_report_text_shows_counts_violations_and_what_was_left_out() -> None:
    text = make_report(VIOLATION, trades=0).to_text()

    assert "0 trades, 1 orders checked" in text
    assert "0 requests checked" in text
    assert "trade BTCUSDT 7: expected quantity 1, found quantity 2" in text
    for name in ("I5", "I6", "I9"):
        assert f"{name} {NOT_CHECKED[name]}: not checked" in text


def test_report_text_without_orders_says_so() -> None:
    assert "I1 one order an intent: NOTHING TO CHECK" in make_report(orders=0).to_text()


def test_report_text_cuts_long_lists_but_counts_them() -> None:
    text = make_report(*[VIOLATION] * 25).to_text()

    assert "25 VIOLATIONS" in text
    assert text.count("trade BTCUSDT 7") == 20
    assert "… and 5 more" in text


def test_report_json_is_json_and_holds_every_violation() -> None:
    document = json.loads(json.dumps(make_report(VIOLATION).to_json()))

    assert document["invariants"][1]["violations"] == [
        {
            "invariant": "I3",
            "subject": "trade BTCUSDT 7",
            "expected": "quantity 1",
            "found": "quantity 2",
        }
    ]
    assert set(document["not_checked"]) == {"I5", "I6", "I9"}
