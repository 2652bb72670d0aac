"""From a session to settings, and to a database for the moment of one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import InterfaceError, OperationalError
from yaml import YAMLError

from cli.errors import InvalidSettings
from cli.session import Session
from domain.errors import ConfigurationError, StoreUnavailable
from orchestrator.bootstrap import Database, open_database
from orchestrator.settings import Settings, load_settings
from telemetry.logs import configure_logs

T = TypeVar("T")

#: Settings whose values are never shown.
_SECRET = ("api_key", "api_secret", "api_passphrase", "token", "read_token", "database_url")


def load(session: Session, **flags: Any) -> Settings:
    """The settings in effect.

    Raises
    ------
    InvalidSettings
        If any breaks a rule.
    """
    try:
        return load_settings(**dict(session.flags), **flags)
    except ValidationError as error:
        raise InvalidSettings([_problem(item) for item in error.errors()]) from None
    except (SettingsError, YAMLError) as error:
        raise ConfigurationError(
            field="settings",
            rule="must be readable",
            value=" ".join(str(error).split()),
            remedy="correct the file or the variable",
        ) from None


def with_database(
    session: Session, work: Callable[[Database], Awaitable[T]], *, may_create: bool = False
) -> T:
    """Do one piece of work on the database, which is started for it if none runs.

    Raises
    ------
    ConfigurationError
        If there is no database yet and this is not the command to begin with: most likely the
        data directory is mistyped.
    """
    settings = load(session)
    if settings.database_url is None and not may_create:
        _require_installation(settings.data_dir)
    quiet_logs(settings, session)

    async def use() -> T:
        async with open_database(settings) as database:
            return await work(database)

    with unavailable_as_ours():
        return asyncio.run(use())


def _require_installation(data_dir: Path) -> None:
    if not (data_dir / "postgres").is_dir():
        raise ConfigurationError(
            field="data_dir",
            rule="must hold an installation",
            value=data_dir,
            remedy="name the directory of your node with --data-dir before the command, "
            "or begin with `gridkeeper up` or `gridkeeper symbol add`",
        )


def quiet_logs(settings: Settings, session: Session) -> None:
    """Only warnings, and on stderr: stdout belongs to the answer."""
    asked = session.flags.get("log_level")
    configure_logs(
        settings.log_level if asked else "warning",
        settings.log_format.value,
        secrets_of(settings),
    )


def secrets_of(settings: Settings) -> list[str]:
    """The values that no log may show."""
    known = (
        settings.account.api_key,
        settings.account.api_secret,
        settings.account.api_passphrase,
        settings.api.token,
        settings.api.read_token,
        settings.database_url,
    )
    values = [secret.get_secret_value() for secret in known if secret is not None]
    return [value for value in (*values, *_keys_in_file(settings.account.key_file)) if value]


def _keys_in_file(path: Path | None) -> list[str]:
    """What the key file holds; whether it may be used at all is judged when it is."""
    if path is None:
        return []
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError):
        return []


@contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Migrations speak to the database directly; its absence is said in our words."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"the database does not answer: {error.orig}".strip()) from None


def _problem(item: Any) -> ConfigurationError:
    path = [str(part) for part in item["loc"]]
    field = ".".join(path) or "settings"
    is_secret = bool(path) and path[-1] in _SECRET
    return ConfigurationError(
        field=field,
        rule=str(item["msg"]).replace("Input should be", "must be", 1),
        value="(hidden)" if is_secret else repr(item["input"])[:60],
        remedy=f"correct GRIDKEEPER_{'__'.join(path).upper()}, the flag or gridkeeper.yaml",
    )
