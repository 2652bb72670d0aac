"""Answers that stay on the screen: asked again every few seconds until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, NoReturn, TypeVar

import typer

from cli.context import with_database
from cli.render import console
from cli.session import Session
from orchestrator.bootstrap import Database
from store.engine import until_store_answers

T = TypeVar("T")

Watch = Annotated[
    float | None,
    typer.Option(
        min=0.1, max=86_400.0, metavar="SECONDS", help="Show it again so often, until Ctrl-C."
    ),
]


def answer(
    session: Session,
    every_s: float | None,
    look: Callable[[Database], Awaitable[T]],
    show: Callable[[T], None],
) -> None:
    """Look into the database and show what is there; again and again if it is watched."""
    if every_s is None:
        show(with_database(session, look))
        return
    with suppress(KeyboardInterrupt):
        with_database(session, lambda database: repeat(lambda: look(database), show, every_s))


async def repeat(
    look: Callable[[], Awaitable[T]], show: Callable[[T], None], every_s: float
) -> NoReturn:
    """Show each answer in place of the one before; a database that is away is waited for."""
    while True:
        found = await until_store_answers(look)
        screen = console()
        screen.clear()
        show(found)
        await asyncio.sleep(every_s)
