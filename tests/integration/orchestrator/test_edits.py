"""A symbol that is traded gets another grid: refused whole, or done as its preview said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, OwnershipLost, StoreUnavailable
from domain.ids import Side
from grid.ladder import LadderVersion
from grid.phase import Stage
from grid.spec import ArithmeticSpacing, GridSpec
from integration.store.factories import (
    add_symbol,
    ask,
    execute,
    make_owner,
    new_symbol,
    select,
    value,
)
from integration.symbol_manager.harness import Rig, eventually
from orchestrator.changes import Changes, Verb
from orchestrator.preview import Preview, preview_update
from orchestrator.workflows import Document
from ports.store import Changes as StoreChanges
from ports.store import Desired, Status
from store import history
from store.kill_switch import KillSwitch
from store.registry import Registry
from store.specs import Look, Specs
from support.fake_exchange import BTC
from symbol_manager.mailbox import Wishes
from unit.symbol_manager.factories import PassedFailpoints, make_phase, make_spec

TARGET: Document = {"account": "sim", "symbol": "BTC/USDT"}
LATE_MS = 60_000


class Edited:
    """A symbol that runs over an exchange in memory, and changes of its grid."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.engine = rig.engine
        self.changes = Changes(
            Registry(rig.engine), KillSwitch(rig.engine), rig.exchange, PassedFailpoints()
        )

    async def update(self, request: str, *, ago_ms: int = 0, **asked: Any) -> Document:
        """Prepare and record a change of the spec, as the workflow does."""
        workflow_id = await ask(self.engine, request, ago_ms=ago_ms)
        change = TARGET | {"verb": request.partition(":")[0]} | asked
        prepared = await self.changes.prepare(change)
        if prepared["outcome"] == "refused":
            return prepared
        return await self.changes.record(change, prepared, workflow_id)

    async def taken_up(self, recorded: Document) -> None:
        """Let the shard see the new version, and wait until it has it."""
        registered = await Registry(self.engine).symbol(self.rig.shard)
        self.rig.mailbox.put_wishes(Wishes(registered.desired, False, registered.spec_version))
        change = TARGET | {"verb": Verb.UPDATE.value}
        assert (await self.changes.converge(change, recorded))["outcome"] == "done"

    async def preview(self, spec: GridSpec) -> Preview:
        return await preview_update(self.engine, "sim", "BTC/USDT", spec)


@pytest.fixture
async def edited(clean_engine: AsyncEngine) -> AsyncIterator[Edited]:
    """Three entries rest below the price."""
    rig = await Rig.build(clean_engine)
    rig.start()
    await rig.until_entries(-1, -2, -3)
    yield Edited(rig)
    await rig.crash()


def document(**changes: Any) -> Document:
    return make_spec(**changes).model_dump(mode="json")


def resting(rig: Rig) -> dict[str, tuple[str, Decimal, Decimal]]:
    return {
        report.client_order_id: (report.side.value, report.price, report.quantity - report.filled)
        for report in rig.exchange.open_orders()
    }


WINDOW = {"kind": "window", "buy_window": 5, "sell_window": 3, "anchor": "100"}


async def test_update_waits_for_a_postgres_that_does_not_answer(
    edited: Edited, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, asked = Specs.look, []

    async def away_at_first(self: Specs, account: str, symbol: str) -> Look | None:
        asked.append(symbol)
        if len(asked) == 1:
            raise StoreUnavailable("no answer")
        return await look(self, account, symbol)

    monkeypatch.setattr(Specs, "look", away_at_first)
    recorded = await edited.update("update:1", spec=document(budget_quote="20"))
    assert (recorded["outcome"], recorded["version"]) == ("recorded", 2)
    assert asked == ["BTC/USDT"] * 2


@pytest.mark.parametrize(
    ("changes", "go", "come", "stay", "ladder"),
    [
        pytest.param({"range": WINDOW}, 0, 2, 3, 0, id="more levels"),
        pytest.param({"range": WINDOW | {"buy_window": 1}}, 1, 0, 2, 0, id="fewer levels"),
        pytest.param({"max_open_orders": 2}, 1, 0, 2, 0, id="fewer orders"),
        pytest.param({"budget_quote": "20"}, 1, 0, 2, 0, id="less budget"),
        pytest.param(
            {"spacing": {"kind": "arithmetic", "step": "2"}}, 2, 3, 1, 1, id="wider levels"
        ),
        pytest.param({"order_size": {"kind": "base", "amount": "0.2"}}, 2, 2, 1, 0, id="size"),
        pytest.param({"range": WINDOW | {"anchor": "100.5"}}, 2, 5, 1, 1, id="moved levels"),
        pytest.param({"stop_loss": {"price": "90"}}, 0, 0, 3, 0, id="no order's affair"),
        pytest.param(
            {"range": {"kind": "fixed", "lower": "94", "upper": "104"}}, 2, 6, 1, 1, id="range"
        ),
    ],
)
async def test_update_does_what_its_preview_said(
    edited: Edited, changes: dict[str, Any], go: int, come: int, stay: int, ladder: int
) -> None:
    """Beside the entries an exit rests, which every new grid keeps: its slot holds inventory."""
    rig = edited.rig
    rig.exchange.fill(-1)
    await rig.until_exits(-1)
    await rig.until_entries(-2, -3)
    before = resting(rig)
    seen = await edited.preview(make_spec())
    assert not seen.go
    assert {order.client_order_id for order in seen.stay} == set(before)

    preview = await edited.preview(make_spec(**changes))
    recorded = await edited.update("update:1", spec=document(**changes))
    assert (recorded["version"], recorded["ladder_version"]) == (2, ladder)
    await edited.taken_up(recorded)

    rest_on = {order.client_order_id for order in preview.stay}
    new = sorted((order.side, order.price, order.quantity) for order in preview.come)

    async def as_previewed() -> bool:
        after = resting(rig)
        came = sorted(order for name, order in after.items() if name not in before)
        return (after.keys() & before.keys(), came) == (rest_on, new) and await rig.is_settled()

    await eventually(as_previewed)
    assert (len(preview.go), len(preview.come), len(preview.stay)) == (go, come, stay)
    assert preview.then.ladder_version == ladder
    assert preview.then.report is not None
    await rig.assert_books_agree()


async def test_update_is_the_cause_of_what_it_does(edited: Edited) -> None:
    await edited.taken_up(await edited.update("update:1", spec=document(range=WINDOW)))
    await edited.rig.until_entries(-1, -2, -3, -4, -5)
    causes = await value(
        edited.engine, "SELECT causes FROM decisions ORDER BY decided_at DESC LIMIT 1"
    )
    assert causes == ["spec 2"]


async def test_former_ladders_slot_only_exits(edited: Edited) -> None:
    """Sold at the level it was bought for, it takes no entry any more."""
    rig = edited.rig
    rig.exchange.fill(-1)
    await rig.until_exits(-1)
    spacing = {"kind": "arithmetic", "step": "2"}
    await edited.taken_up(await edited.update("update:1", spec=document(spacing=spacing)))
    await rig.until_entries(-1, -2, -3)
    rig.exchange.fill(-1, Side.SELL)
    await rig.until_exits()
    pair = await select(edited.engine, "SELECT ladder_version, slot FROM pairs")
    assert [tuple(row) for row in pair] == [(0, -1)]
    live = await select(
        edited.engine,
        "SELECT DISTINCT ladder_version FROM orders WHERE status = 'open'",
    )
    assert [row.ladder_version for row in live] == [1]
    await rig.assert_books_agree()


async def test_revert_makes_a_new_version_with_the_old_contents(edited: Edited) -> None:
    first = resting(edited.rig)
    await edited.taken_up(await edited.update("update:1", spec=document(range=WINDOW), note="more"))
    await edited.rig.until_entries(-1, -2, -3, -4, -5)
    recorded = await edited.update("revert:1", to=1, note="as version 1")
    await edited.taken_up(recorded)
    await edited.rig.until_entries(-1, -2, -3, -4)  # one level outside the window may stay

    assert first.items() <= resting(edited.rig).items()
    versions = await history.spec_versions(edited.engine, "BTC/USDT")
    assert [made.version for made in versions] == [1, 2, 3]
    assert [made.is_current for made in versions] == [False, False, True]
    assert [made.note for made in versions] == ["", "more", "as version 1"]
    assert versions[2].spec == versions[0].spec
    assert versions[1].changes.keys() == versions[2].changes.keys() == {"range"}


async def test_update_recorded_again_after_a_crash_makes_one_version(edited: Edited) -> None:
    change = TARGET | {"verb": "update", "spec": document(range=WINDOW)}
    workflow_id = await ask(edited.engine, "update:1")
    prepared = await edited.changes.prepare(change)
    recorded = await edited.changes.record(change, prepared, workflow_id)
    assert await edited.changes.record(change, prepared, workflow_id) == recorded
    assert await value(edited.engine, "SELECT count(*) FROM specs") == 2


async def test_update_applied_late_does_not_undo_a_newer_one(edited: Edited) -> None:
    newer = document(budget_quote="9000")
    await execute(edited.engine, "UPDATE shards SET spec_ms = spec_ms - :ago", ago=10 * LATE_MS)
    assert (await edited.update("update:2", spec=newer))["outcome"] == "recorded"
    late = await edited.update("update:1", ago_ms=LATE_MS, spec=document(budget_quote="8000"))
    assert late["outcome"] == "refused"
    assert "asked for after this one" in late["reason"]
    assert await value(edited.engine, "SELECT spec ->> 'budget_quote' FROM shards") == "9000"
    assert await value(edited.engine, "SELECT count(*) FROM specs") == 2


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        pytest.param({"spec": document(mode="short", base_inventory="1")}, "mode", id="mode"),
        pytest.param({"spec": document(), "expected_version": 7}, "expected_version", id="version"),
        pytest.param({"spec": document(budget_quote="2000000")}, "budget_quote", id="budget"),
        pytest.param(
            {"spec": document(order_size={"kind": "base", "amount": "0.01"})},
            "order_size",
            id="size",
        ),
        pytest.param(
            {"spec": document(spacing={"kind": "arithmetic", "step": "0.01"})},
            "spacing.step",
            id="no profit",
        ),
        pytest.param(
            {"spec": document(stop_loss={"price": "99.5"})}, "stop_loss.price", id="stop reached"
        ),
        pytest.param({"symbol": "ETH/USDT", "spec": document()}, "ETH/USDT", id="another symbol"),
    ],
)
async def test_update_that_cannot_work_is_refused_whole(
    edited: Edited, asked: dict[str, Any], word: str
) -> None:
    before = resting(edited.rig)
    refused = await edited.update("update:1", **asked)
    assert refused["outcome"] == "refused"
    assert word in refused["reason"]
    assert await value(edited.engine, "SELECT count(*) FROM specs") == 1
    assert resting(edited.rig) == before


async def test_update_and_preview_leave_other_symbols_what_they_reserve(edited: Edited) -> None:
    other = replace(BTC, symbol="ETH/USDT", base="ETH")
    large = make_spec(budget_quote="600000").model_dump(mode="json")
    await add_symbol(edited.engine, new_symbol("add:eth", other, spec=large))
    refused = await edited.update("update:1", spec=document(budget_quote="400001"))
    assert refused["outcome"] == "refused"
    assert "ETH/USDT 600000" in refused["reason"]
    with pytest.raises(ConfigurationError, match="ETH/USDT 600000"):
        await edited.preview(make_spec(budget_quote="400001"))
    assert await value(edited.engine, "SELECT count(*) FROM specs WHERE version > 1") == 0

    assert (await edited.preview(make_spec(budget_quote="400000"))).then.budget_quote == 400_000
    recorded = await edited.update("update:2", spec=document(budget_quote="400000"))
    assert recorded["outcome"] == "recorded"


async def test_revert_to_a_version_that_never_was_is_refused(edited: Edited) -> None:
    refused = await edited.update("revert:1", to=5)
    assert refused["outcome"] == "refused"
    assert "must be a version of BTC/USDT, 1 to 1" in refused["reason"]


async def test_update_of_a_symbol_on_its_way_out_is_refused(edited: Edited) -> None:
    await execute(edited.engine, "UPDATE shards SET desired = 'closed'")
    refused = await edited.update("update:1", spec=document(budget_quote="9000"))
    assert "being removed" in refused["reason"]


async def test_update_of_an_ended_grid_starts_it_again(clean_engine: AsyncEngine) -> None:
    window = {"kind": "window", "buy_window": 3, "sell_window": 3}
    rig = await Rig.build(clean_engine, make_spec(range=window), make_phase(Stage.ENDED))
    rig.start()
    await rig.until_status(Status.STOPPED)
    edited = Edited(rig)
    await edited.taken_up(await edited.update("update:1", spec=document(range=window)))
    await rig.until_status(Status.RUNNING)
    await rig.until_entries(-1, -2)  # level 0 is where the price is now

    (row,) = await select(clean_engine, "SELECT start_price, phase, ladder_version FROM shards")
    assert (row.start_price, row.phase["stage"]) == (Decimal("99.49"), "running")
    (ladder,) = await select(
        clean_engine, "SELECT anchor FROM ladders WHERE version = :v", v=row.ladder_version
    )
    assert ladder.anchor == Decimal("99.49")
    await rig.crash()


async def test_paused_symbol_takes_an_update_up_and_stays_paused(edited: Edited) -> None:
    await execute(edited.engine, "UPDATE shards SET desired = 'paused'")
    await edited.rig.wish(Desired.PAUSED)
    await edited.rig.until_status(Status.PAUSED)
    await edited.taken_up(await edited.update("update:1", spec=document(range=WINDOW)))
    await edited.rig.until_status(Status.PAUSED)
    assert resting(edited.rig) == {}


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(StoreChanges(phase=make_phase(Stage.ENDED), spec_version=1), id="phase"),
        pytest.param(
            StoreChanges(
                ladder=LadderVersion(
                    version=1, anchor=Decimal(100), spacing=ArithmeticSpacing(step=Decimal(3))
                ),
                spec_version=1,
            ),
            id="ladder",
        ),
    ],
)
async def test_phase_or_ladder_of_an_older_spec_is_not_recorded(
    clean_engine: AsyncEngine, late: StoreChanges
) -> None:
    """The owner had decided on it before it saw the new spec."""
    owner = await make_owner(clean_engine)
    await execute(clean_engine, "UPDATE shards SET spec_version = 2")
    with pytest.raises(OwnershipLost):
        await owner.record(late)
    assert await value(clean_engine, "SELECT phase ->> 'stage' FROM shards") == "running"
    assert await value(clean_engine, "SELECT count(*) FROM ladders") == 1


async def test_preview_of_what_would_be_refused_is_refused(edited: Edited) -> None:
    with pytest.raises(ConfigurationError, match=r"spacing\.step"):
        await edited.preview(make_spec(spacing={"kind": "arithmetic", "step": "0.01"}))
