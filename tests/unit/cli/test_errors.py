"""How errors become exit codes and messages."""

from __future__ import annotations

import json

import pytest

from cli.errors import InvalidSettings, exit_of, report
from cli.exits import Exit
from cli.session import Format
from domain.errors import (
    AuthenticationRefused,
    ConfigurationError,
    GridkeeperError,
    InvariantViolation,
    OwnershipLost,
    RequestRefused,
    StoreUnavailable,
    TransientVenueError,
)
from store.postgres_binaries import EmbeddedPostgresError

PROBLEM = ConfigurationError(field="lease_s", rule="must be > 0", value=-1, remedy="raise it")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(PROBLEM, Exit.INVALID, id="configuration"),
        pytest.param(InvalidSettings([PROBLEM]), Exit.INVALID, id="settings"),
        pytest.param(StoreUnavailable("gone"), Exit.DATABASE_UNAVAILABLE, id="database"),
        pytest.param(EmbeddedPostgresError("gone"), Exit.DATABASE_UNAVAILABLE, id="embedded"),
        pytest.param(RequestRefused("no"), Exit.REFUSED, id="refused"),
        pytest.param(TransientVenueError("gone"), Exit.EXCHANGE_UNAVAILABLE, id="exchange"),
        pytest.param(AuthenticationRefused("key"), Exit.EXCHANGE_UNAVAILABLE, id="keys"),
        pytest.param(OwnershipLost("other"), Exit.FENCED, id="fenced"),
        pytest.param(InvariantViolation("crossed"), Exit.FAILED, id="anything else"),
    ],
)
def test_exit_of_an_error_is_its_documented_code(error: GridkeeperError, code: Exit) -> None:
    assert exit_of(error) is code


def test_exit_codes_are_the_documented_numbers() -> None:
    assert [code.value for code in Exit] == [0, 1, 2, 3, 4, 5, 6, 75]


def test_report_as_text_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report(PROBLEM, Format.TABLE)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "`lease_s` must be > 0, was -1; raise it\n"


def test_report_as_json_has_field_rule_value_and_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(InvalidSettings([PROBLEM]), Format.JSON)
    captured = capsys.readouterr()
    assert captured.err == ""
    document = json.loads(captured.out)
    assert document["exit_code"] == 2
    assert document["error"]["problems"] == [
        {
            "kind": "ConfigurationError",
            "message": "`lease_s` must be > 0, was -1; raise it",
            "field": "lease_s",
            "rule": "must be > 0",
            "value": "-1",
            "remedy": "raise it",
        }
    ]
