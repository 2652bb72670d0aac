"""Settings read again while a node runs: which may change then, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from domain.errors import ConfigurationError
from orchestrator.settings import KEYS, Settings, settings_files

#: What may change; everything else is wired in when the node starts.
RELOADABLE = frozenset(
    {
        *(f"account.{name}" for name in (*KEYS, "key_file")),
        "keep_history_days",
        "log_format",
        "log_level",
        "on_shutdown",
        "risk.max_symbols",
        "risk.max_total_budget_quote",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """One time that the settings were read again."""

    at: datetime
    #: Settings that are others since, by their dotted names.
    changed: tuple[str, ...] = ()
    #: Why none is; empty if they were taken up.
    refused: str = ""


def read_again(present: Settings, read: Callable[[], Settings]) -> tuple[Settings, Reload]:
    """The settings to go on with: those that are read, or the present ones where they are refused.

    Parameters
    ----------
    read : callable
        Reads them as they were read at the start, flags included.
    """
    at = datetime.now(UTC)
    try:
        wanted = read()
        changed = tuple(_differing(present, wanted))
        _check(changed)
    except (ConfigurationError, OSError, UnicodeError) as error:
        return present, Reload(at=at, refused=str(error))
    return wanted, Reload(at=at, changed=changed)


def with_keys_of(present: Settings, wanted: Settings) -> Settings:
    """The present settings, but for the keys and where they lie."""
    names = (*KEYS, "key_file")
    fresh = {name: getattr(wanted.account, name) for name in names}
    return present.model_copy(update={"account": present.account.model_copy(update=fresh)})


def from_the_same_files(read: Callable[[], Settings]) -> Callable[[], Settings]:
    """Read only while the files are there that are there now.

    A file may be away for a moment, or for good by mistake, and with it every limit in it.
    """
    files = [file for file in settings_files() if file.is_file()]

    def read_them() -> Settings:
        for file in files:
            if not file.is_file():
                raise ConfigurationError(
                    field=str(file),
                    rule="must be there, as it was when the node started",
                    value="missing",
                    remedy="put it back, or restart the node to go on without it",
                )
        return read()

    return read_them


def _check(changed: tuple[str, ...]) -> None:
    fixed = [name for name in changed if name not in RELOADABLE]
    if fixed:
        raise ConfigurationError(
            field=", ".join(fixed),
            rule="must stay while the node runs",
            value="changed",
            remedy="change it back, or restart the node; nothing was taken up",
        )


def _differing(present: BaseModel, wanted: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted names of settings that differ."""
    for name in sorted(type(present).model_fields):
        before, after = getattr(present, name), getattr(wanted, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _differing(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"
