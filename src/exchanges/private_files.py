"""A file that holds a secret is its owner's alone."""

from __future__ import annotations

import stat
from pathlib import Path

from domain.errors import ConfigurationError


def require_private(path: Path, *, field: str, or_else: str = "") -> None:
    """Refuse a file that group or others may use.

    Parameters
    ----------
    or_else : str, optional
        Another remedy than to close the file.

    Raises
    ------
    ConfigurationError
        If it is open to them.
    OSError
        If it cannot be looked at.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            field=field,
            rule="must be readable by its owner only, since it holds a secret",
            value=f"{path} of mode {mode:04o}",
            remedy=f"run: chmod 600 {path}" + (f", or {or_else}" if or_else else ""),
        )
