"""Where the API listens, who may reach it there, and under which names.

Loopback needs nothing. Any other address needs TLS, by our own certificate or by a proxy before us.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

import structlog

from domain.errors import ConfigurationError
from exchanges.private_files import require_private
from orchestrator.settings import ApiSettings

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_BACKLOG: Final = 128
#: How often it is looked whether certificate and key are others.
RENEW_EVERY_S: Final = 60.0

log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class Listening:
    """An address that may be served."""

    settings: ApiSettings
    #: Whether others than the users of this machine may reach it.
    is_exposed: bool
    #: What a request's Host header may name.
    names: frozenset[str]

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """
        Raises
        ------
        ConfigurationError
            If others could reach it, or listen in, who must not.
        """
        is_loopback = _is_loopback(settings.host)
        has_tls = settings.tls_certificate is not None and settings.tls_key is not None
        if not has_tls and (settings.tls_certificate or settings.tls_key):
            missing = "tls_key" if settings.tls_key is None else "tls_certificate"
            raise ConfigurationError(
                field=f"api.{missing}",
                rule="must be given where the other of both is",
                value="not given",
                remedy="name both files, or none",
            )
        if not (is_loopback or has_tls or settings.behind_proxy):
            raise ConfigurationError(
                field="api.host",
                rule="must be a loopback address where there is no TLS",
                value=settings.host,
                remedy="set api.tls_certificate and api.tls_key, or api.behind_proxy; or use "
                "127.0.0.1, and reach it from elsewhere through an SSH tunnel",
            )
        if not settings.hosts and (settings.behind_proxy or _is_wildcard(settings.host)):
            raise ConfigurationError(
                field="api.hosts",
                rule="must name what callers write in their addresses",
                value="empty",
                remedy="list the names, such as [trader.example]",
            )
        return cls(
            settings,
            is_exposed=settings.behind_proxy or not is_loopback,
            names=_LOOPBACK_NAMES | {settings.host.lower(), *settings.hosts},
        )

    def tls(self) -> ssl.SSLContext | None:
        """What callers are answered with, if that is TLS.

        Raises
        ------
        ConfigurationError
            If the files cannot be used, or others than the owner may read the key.
        """
        if self._files is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load(context)
        return context

    async def renew(self, tls: ssl.SSLContext) -> None:
        """Answer with the files that take the place of these, for as long as this runs."""
        used = self._written_ns()
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            found = self._written_ns()
            if found == used:
                continue
            used = found
            try:
                self.tls()  # a pair that does not fit would spoil the context that is in use
                self._load(tls)
            except ConfigurationError as error:
                log.error("tls_files_refused", reason=str(error))
            else:
                log.warning("tls_files_renewed")

    def _load(self, context: ssl.SSLContext) -> None:
        if self._files is None:
            return
        certificate, key = self._files
        _require_file(certificate, "api.tls_certificate")
        _require_file(key, "api.tls_key")
        require_private(key, field="api.tls_key")
        try:
            # An empty password instead of a question on the terminal.
            context.load_cert_chain(certificate, key, password="")  # nosec B106
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                field="api.tls_certificate",
                rule="must be a certificate in PEM whose key, without a password, is api.tls_key",
                value=f"{certificate} ({error})",
                remedy="look at both with: openssl x509 -noout -text, openssl pkey -check",
            ) from None

    @property
    def _files(self) -> tuple[Path, Path] | None:
        certificate, key = self.settings.tls_certificate, self.settings.tls_key
        return None if certificate is None or key is None else (certificate, key)

    def _written_ns(self) -> list[int]:
        """When the files were last written; none while one is away."""
        try:
            return [path.stat().st_mtime_ns for path in self._files or ()]
        except OSError:
            return []

    def open(self) -> socket.socket:
        """The socket that takes connections.

        Raises
        ------
        ConfigurationError
            If the port is taken, or the address is not this machine's.
        """
        host, port = self.settings.host, self.settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise ConfigurationError(
                    field="api.host",
                    rule="must be an address of this machine",
                    value=f"{host} ({error.strerror})",
                    remedy="use one that `ip address` shows",
                ) from error
            raise ConfigurationError(
                field="api.port",
                rule="must be free",
                value=f"{port} ({error.strerror})",
                remedy="stop what uses it, or choose another port",
            ) from error


def _require_file(path: Path, field: str) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(
            field=field,
            rule="must be a file that this user may read",
            value=f"{path} ({error.strerror})",
            remedy="correct the path or the file's owner",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
