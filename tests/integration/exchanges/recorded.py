"""A venue on loopback that answers from recorded shapes, and what unmodified ccxt asked it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchanges.venues import VENUES


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    #: Of query and body together; a body that is a list of one is that one.
    fields: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    body: Any
    status: int = 200


#: The venue takes the request and never answers.
SILENCE = Answer(None, status=0)

Route = tuple[str, str]
Reply = Any | Callable[[Request], Any]


@dataclass
class RecordedVenue:
    """Answers each route with its body; what has none is refused and remembered."""

    directory: Path
    routes: dict[Route, Reply]
    requests: list[Request] = field(default_factory=list)
    unforeseen: list[Request] = field(default_factory=list)

    @property
    def address_file(self) -> Path:
        return self.directory / "venue.json"

    def asked(self, route: Route) -> list[Request]:
        return [asked for asked in self.requests if self._route_of(asked) == route]

    def _route_of(self, request: Request) -> Route:
        """The request's own route, or the one whose last part is an order's name."""
        route = (request.method, request.path)
        if route in self.routes:
            return route
        return (request.method, f"{request.path.rpartition('/')[0]}/{{name}}")

    @asynccontextmanager
    async def running(self, certificate: Path, key: Path) -> AsyncIterator[None]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        host, port = runner.addresses[0][:2]
        address = {"host": host, "port": port, "ca_path": str(certificate)}
        self.address_file.write_text(json.dumps(address))
        try:
            yield
        finally:
            await runner.cleanup()

    async def _handle(self, received: web.Request) -> web.StreamResponse:
        request = Request(
            method=received.method,
            path=received.path,
            fields={**received.query, **_fields_of(await received.text())},
            headers=dict(received.headers),
        )
        self.requests.append(request)
        route = self._route_of(request)
        if route not in self.routes:
            self.unforeseen.append(request)
            return web.json_response({"unforeseen": route}, status=501)
        reply = self.routes[route]
        answer = reply(request) if callable(reply) else reply
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        if answer is SILENCE:
            await asyncio.Event().wait()
        return web.json_response(answer.body, status=answer.status, dumps=_compact)


def _compact(document: Any) -> str:
    """As venues write it."""
    return json.dumps(document, separators=(",", ":"))


def _fields_of(body: str) -> dict[str, Any]:
    if not body:
        return {}
    if body[0] not in "{[":
        return dict(parse_qsl(body))
    document = json.loads(body)
    fields: dict[str, Any] = document[0] if isinstance(document, list) else document
    return fields


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for the hosts of every venue, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "recorded venues")])
    now = datetime.datetime.now(datetime.UTC)
    hosts: list[x509.GeneralName] = [
        x509.DNSName(f"*{domain}") for venue in VENUES.values() for domain in venue.domains
    ]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [*hosts, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(signed.public_bytes(pem))
    key.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key
