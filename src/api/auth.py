"""Who may ask for what: holders of the token for anything, of the read token only to look.

The token is the configured one or one drawn at the first start; a read token must be configured.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Self

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from domain.errors import ConfigurationError
from exchanges.private_files import require_private
from orchestrator.settings import Settings

TOKEN_FILE = "api_token"  # noqa: S105  # nosec B105  # the name of the file, not what it holds
#: Fewer could be guessed.
TOKEN_CHARACTERS_MIN = 16

#: Of requests that change nothing.
_READING = frozenset({"GET", "HEAD"})

_bearer = HTTPBearer(
    auto_error=False,
    description="`api.token` of the settings, or the content of `api_token` in the data directory.",
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What callers may show."""

    full: str = field(repr=False)
    read: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """
        Raises
        ------
        ConfigurationError
            If one is too short, both are the same, or others than the owner may read the file.
        """
        full, read = api_token(settings), settings.api.read_token
        if read is None:
            return cls(full)
        checked = _checked(read.get_secret_value(), "api.read_token")
        if checked == full:
            raise ConfigurationError(
                field="api.read_token",
                rule="must differ from the token that may change things",
                value="the same",
                remedy="draw one with: openssl rand -hex 16",
            )
        return cls(full, checked)


async def authenticated(
    request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Refuse whoever shows no token, or wants a change with the read token."""
    tokens: Tokens = request.app.state.tokens
    if shown is not None and _is_same(shown.credentials, tokens.full):
        return
    if shown is None or tokens.read is None or not _is_same(shown.credentials, tokens.read):
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            "show the API's token: `Authorization: Bearer …`",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if request.method not in _READING:
        raise HTTPException(HTTPStatus.FORBIDDEN, "the read token changes nothing")


def _is_same(shown: str, token: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return secrets.compare_digest(shown.encode(), token.encode())


def api_token(settings: Settings) -> str:
    """The token that callers must show.

    Raises
    ------
    ConfigurationError
        If it is too short, or others than the owner may read its file.
    """
    configured = settings.api.token
    if configured is not None:
        return _checked(configured.get_secret_value(), "api.token")
    path = settings.data_dir / TOKEN_FILE
    if not path.exists():
        _draw(path)
    require_private(path, field=TOKEN_FILE)
    return _checked(path.read_text().strip(), str(path))


def _draw(path: Path) -> None:
    """Appear whole or not at all: another process may start at the same moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{TOKEN_FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        with suppress(FileExistsError):  # the other one was first: both use its token
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _checked(token: str, field: str) -> str:
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigurationError(
            field=field,
            rule=f"must have at least {TOKEN_CHARACTERS_MIN} characters",
            value=f"{len(token)} characters",
            remedy="draw one with: openssl rand -hex 16",
        )
    return token
