"""What the API looks at of a running node; `orchestrator.bootstrap.RunningNode` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from orchestrator.dead_man import Armed
from orchestrator.reload import Reload
from orchestrator.requests import Requests
from orchestrator.settings import Settings
from ports.exchange import RateSharing
from symbol_manager.view import ShardView


class ServedNode(Protocol):
    @property
    def views(self) -> Mapping[int, ShardView]: ...
    @property
    def switches(self) -> Mapping[str, Armed]: ...


class ServedDatabase(Protocol):
    @property
    def engine(self) -> AsyncEngine: ...
    @property
    def requests(self) -> Requests: ...


class ServedExchange(Protocol):
    @property
    def rate(self) -> RateSharing: ...


class Served(Protocol):
    @property
    def node(self) -> ServedNode: ...
    @property
    def database(self) -> ServedDatabase: ...
    @property
    def exchange(self) -> ServedExchange: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def is_disk_full(self) -> bool: ...
    @property
    def reloaded(self) -> Reload | None: ...


def _served(request: Request) -> Served:
    return cast(Served, request.app.state.served)


Running = Annotated[Served, Depends(_served)]
