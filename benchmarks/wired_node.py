"""A node wired as `gridkeeper up` wires it, but for an exchange in memory and a clock of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from dbos import DBOS
from pydantic import SecretStr

from cli.local_system import temporary_data_dir
from orchestrator.bootstrap import RunningNode, run_node
from orchestrator.settings import ApiSettings, Settings
from orchestrator.workflows import Document, Handlers, Workflows, register
from ports.exchange import ExchangePort
from ports.failpoints import Failpoints
from store.embedded_postgres import EmbeddedPostgres

#: Nothing goes stale and nothing is compared while a case is measured.
NEVER_S = 3_600


@asynccontextmanager
async def wired_node(
    exchange: ExchangePort, failpoints: Failpoints, ended: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[RunningNode, str, Callable[[], Awaitable[None]]]]:
    """The node, its database's DSN, and a workflow of one empty step to run beside it.

    Parameters
    ----------
    failpoints : Failpoints
        Stands where a crash would be ordered, and sees every step boundary.
    ended : callable
        Called whenever a workflow `execute_plan` has ended.
    """
    with ExitStack() as stack:
        data_dir = stack.enter_context(temporary_data_dir())
        dsn = stack.enter_context(EmbeddedPostgres(data_dir)).dsn()
        settings = Settings(
            data_dir=data_dir,
            database_url=SecretStr(dsn),
            api=ApiSettings(enabled=False),
            stale_after_ms=NEVER_S * 1000,
            reconcile_every_s=NEVER_S,
        )
        wiring = "orchestrator.bootstrap"
        stack.enter_context(patch(f"{wiring}.open_exchange", return_value=exchange))
        stack.enter_context(patch(f"{wiring}.KillAt.parse", return_value=failpoints))
        stack.enter_context(patch(f"{wiring}.register", partial(_register, ended)))
        one_step = _register_one_step()
        try:
            async with run_node(settings) as running:
                yield running, dsn, one_step
        finally:
            # For the next node of this process.
            DBOS.destroy(destroy_registry=True)


def _register(ended: Callable[[], None], handlers: Handlers) -> Workflows:
    workflows = register(handlers)

    async def execute_plan(batch: Document) -> Document:
        result = await workflows.execute_plan(batch)
        ended()
        return result

    return replace(workflows, execute_plan=execute_plan)


def _register_one_step() -> Callable[[], Awaitable[None]]:
    """The least that DBOS does for a decision; registered before it is launched."""

    @DBOS.step(name="bench_step")
    async def step() -> None:
        """Nothing to do: what is measured is the checkpoint."""

    @DBOS.workflow(name="bench_workflow")
    async def workflow() -> None:
        await step()

    return workflow
