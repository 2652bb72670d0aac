"""Plans that are decided at one moment share a workflow, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from dbos import error
from sqlalchemy.exc import OperationalError

from domain.errors import StoreUnavailable
from domain.ids import DecisionId
from orchestrator import plans
from orchestrator.plans import Plans
from orchestrator.workflows import Document
from symbol_manager.execute import PlanExecutor, PlanRecord, PlanResult


class Answers(PlanExecutor):
    """Executes nothing: a plan's result is what the test sets."""

    def __init__(self) -> None:
        self.results: dict[str, asyncio.Future[PlanResult]] = {}

    async def submit(self, decision_id: DecisionId) -> PlanResult:
        return await self.results[decision_id]

    def expect(self, *names: str) -> list[PlanRecord]:
        loop = asyncio.get_running_loop()
        self.results |= {name: loop.create_future() for name in names}
        return [{"decision_id": name} for name in names]


@dataclass
class Desk:
    """A workflow without DBOS: it is written down, and comes to its step, when it may."""

    executor: Answers = field(default_factory=Answers)
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    may_step: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[list[str]] = field(default_factory=list)
    ended: list[Document | BaseException] = field(default_factory=list)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self.plans = Plans(self.executor)
        self.plans.bind(self.execute_plan)
        self.may_start.set()
        self.may_step.set()

    async def execute_plan(self, batch: Document) -> Document:
        self.started.append([plan["decision_id"] for plan in batch["plans"]])
        await self.may_start.wait()
        if self.failure is not None:
            raise self.failure
        with self.plans.executing(batch):
            await self.may_step.wait()
            (outcome,) = await asyncio.gather(self.plans.submit(batch), return_exceptions=True)
        self.ended.append(outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def run(self, *names: str) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.plans.run(plan)) for plan in self.executor.expect(*names)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_plans_of_one_moment_share_a_workflow_and_wait_for_their_own_result(
    desk: Desk,
) -> None:
    quick, slow = desk.run("a:1:1", "b:1:1")
    await settle()
    assert desk.started == [["a:1:1", "b:1:1"]]
    desk.executor.results["a:1:1"].set_result({"x": "open"})
    await quick
    ended = asyncio.create_task(desk.plans.ended())
    await settle()
    assert not slow.done()
    assert not ended.done()
    assert desk.ended == []
    desk.executor.results["b:1:1"].set_result({"y": "open"})
    await slow
    await ended
    assert desk.ended == [{"orders": {"a:1:1": {"x": "open"}, "b:1:1": {"y": "open"}}}]


async def test_shard_goes_on_before_the_step_which_tells_the_result_all_the_same(
    desk: Desk,
) -> None:
    desk.may_step.clear()
    (task,) = desk.run("a:1:1")
    desk.executor.results["a:1:1"].set_result({"x": "open"})
    await task
    del desk.executor.results["a:1:1"]
    assert desk.ended == []
    desk.may_step.set()
    await desk.plans.ended()
    assert desk.ended == [{"orders": {"a:1:1": {"x": "open"}}}]


async def test_workflow_that_is_run_again_finds_the_results_of_the_first_run(desk: Desk) -> None:
    desk.may_step.clear()
    (task,) = desk.run("a:1:1")
    await settle()
    again = asyncio.create_task(desk.execute_plan({"plans": [{"decision_id": "a:1:1"}]}))
    desk.executor.results["a:1:1"].set_result({"x": "open"})
    await task
    desk.may_step.set()
    await again
    await desk.plans.ended()
    assert desk.ended == [{"orders": {"a:1:1": {"x": "open"}}}] * 2


async def test_plan_that_comes_while_a_workflow_waits_for_answers_starts_another(
    desk: Desk,
) -> None:
    (slow,) = desk.run("a:1:1")
    await settle()
    (quick,) = desk.run("b:1:1")
    desk.executor.results["b:1:1"].set_result({})
    await quick
    assert desk.started == [["a:1:1"], ["b:1:1"]]
    desk.executor.results["a:1:1"].set_result({})
    await slow


async def test_plans_that_come_while_a_workflow_is_started_share_the_next(desk: Desk) -> None:
    desk.may_start.clear()
    tasks = desk.run("a:1:1")
    await settle()
    tasks += desk.run("b:1:1", "c:1:1")
    await settle()
    assert desk.started == [["a:1:1"]]
    for result in desk.executor.results.values():
        result.set_result({})
    desk.may_start.set()
    await asyncio.gather(*tasks)
    assert desk.started == [["a:1:1"], ["b:1:1", "c:1:1"]]


async def test_plan_that_fails_fails_its_shard_and_its_workflow_only(desk: Desk) -> None:
    failing, other = desk.run("a:1:1", "b:1:1")
    await settle()
    error = StoreUnavailable("gone")
    desk.executor.results["a:1:1"].set_exception(error)
    with pytest.raises(StoreUnavailable, match="gone"):
        await failing
    desk.executor.results["b:1:1"].set_result({})
    await other
    await settle()
    assert desk.ended == [error]


async def test_workflow_that_is_not_written_down_fails_all_its_plans(desk: Desk) -> None:
    desk.failure = StoreUnavailable("no workflow")
    told = await asyncio.gather(*desk.run("a:1:1", "b:1:1"), return_exceptions=True)
    assert [str(each) for each in told] == ["no workflow", "no workflow"]
    desk.failure = None
    (task,) = desk.run("a:1:2")
    desk.executor.results["a:1:2"].set_result({})
    await task


async def test_shard_that_waits_no_longer_leaves_the_others_their_workflow(desk: Desk) -> None:
    leaving, staying = desk.run("a:1:1", "b:1:1")
    await settle()
    leaving.cancel()
    await asyncio.wait([leaving])
    for result in desk.executor.results.values():
        result.set_result({})
    await staying
    await settle()
    assert len(desk.ended) == 1


async def test_workflow_that_is_not_written_down_in_time_holds_up_nobody_longer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "START_WAIT_S", 0.05)
    desk.may_start.clear()
    (hanging,) = desk.run("a:1:1")
    await settle()
    (behind,) = desk.run("b:1:1")
    with pytest.raises(StoreUnavailable, match="is not written down"):
        await hanging
    desk.may_start.set()
    for result in desk.executor.results.values():
        result.set_result({})
    await behind


@pytest.mark.parametrize(
    "failure",
    [
        error.DBOSConflictingWorkflowError("a:1:1"),
        error.DBOSWorkflowCancelledError("cancelled"),
        OperationalError("statement", {}, Exception("gone")),
    ],
)
async def test_failure_of_dbos_is_the_databases_and_no_crash_of_a_shard(
    desk: Desk, failure: BaseException
) -> None:
    desk.failure = failure
    (task,) = desk.run("a:1:1")
    with pytest.raises(StoreUnavailable, match="a:1:1"):
        await task
