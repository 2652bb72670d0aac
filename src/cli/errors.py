"""How an error reaches the user: one clear line or a JSON object, and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from cli.exits import Exit
from cli.session import Format
from domain.errors import (
    ConfigurationError,
    GridkeeperError,
    OwnershipLost,
    RequestRefused,
    StoreUnavailable,
    VenueError,
)
from store.postgres_binaries import EmbeddedPostgresError


class GridRefused(ConfigurationError):
    """A grid that is well formed and cannot work on its market."""

    def __init__(self, refusal: ConfigurationError) -> None:
        super().__init__(
            field=refusal.field, rule=refusal.rule, value=refusal.value, remedy=refusal.remedy
        )


#: The first kind that fits decides.
_EXITS: Sequence[tuple[type[GridkeeperError], Exit]] = (
    (GridRefused, Exit.REFUSED),
    (ConfigurationError, Exit.INVALID),
    (StoreUnavailable, Exit.DATABASE_UNAVAILABLE),
    (EmbeddedPostgresError, Exit.DATABASE_UNAVAILABLE),
    (RequestRefused, Exit.REFUSED),
    (VenueError, Exit.EXCHANGE_UNAVAILABLE),
    (OwnershipLost, Exit.FENCED),
)


class InvalidSettings(ConfigurationError):
    """Settings that break rules; each problem names its field, rule, value and remedy."""

    def __init__(self, problems: Sequence[ConfigurationError]) -> None:
        first = problems[0]
        super().__init__(field=first.field, rule=first.rule, value=first.value, remedy=first.remedy)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def report(error: GridkeeperError, output: Format) -> Exit:
    """Tell the user, on stderr or as JSON on stdout; the exit code to end with."""
    code = exit_of(error)
    if output is Format.JSON:
        sys.stdout.write(json.dumps({"error": _document(error), "exit_code": code}) + "\n")
    else:
        sys.stderr.write(f"{error}\n")
    return code


def exit_of(error: GridkeeperError) -> Exit:
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)


def _document(error: GridkeeperError) -> dict[str, object]:
    document: dict[str, object] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, InvalidSettings):
        document["problems"] = [_document(problem) for problem in error.problems]
    elif isinstance(error, ConfigurationError):
        document |= {
            "field": error.field,
            "rule": error.rule,
            "value": error.value,
            "remedy": error.remedy,
        }
    return document
