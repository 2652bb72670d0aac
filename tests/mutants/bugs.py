"""Bugs as data: one change of one line of the product, and the tests that must see it.

Each names the cheapest suite that has to fail; a suite that fails without the bug proves nothing
and is reported as such.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A text of the product, and what a careless person would have written."""

    name: str
    #: Below ``src/``.
    file: str
    #: Occurs once in the file.
    before: str
    after: str
    #: What pytest is to run.
    tests: str


_ACCEPT_ANY_TRADE_AGAIN = """\
     WHERE fills.origin = 'parked' OR (fills.origin = 'external' AND excluded.origin = 'own')
"""

BUGS = (
    Bug(
        name="epoch not checked at commit",
        file="store/statements.py",
        before="FROM decision JOIN shards USING (shard, epoch) FOR UPDATE OF shards {patience}",
        after="FROM decision JOIN shards USING (shard) FOR UPDATE OF shards {patience}",
        tests="integration/store/test_ownership.py",
    ),
    Bug(
        name="kill switch ignored at commit",
        file="store/statements.py",
        before="WHERE places = '[]' OR NOT EXISTS (SELECT FROM kill_switch WHERE engaged)",
        after="WHERE places = '[]' OR true",
        tests="integration/store/test_decisions.py",
    ),
    Bug(
        name="fill recorded twice",
        file="store/statements.py",
        before=_ACCEPT_ANY_TRADE_AGAIN,
        after="",
        tests="integration/store/test_records.py",
    ),
    Bug(
        name="lost heartbeat taken for renewed",
        file="store/nodes.py",
        before="if renewed.one_or_none() is None:",
        after="if renewed.one_or_none() is None and not executor_id:",
        tests="integration/orchestrator/test_membership.py",
    ),
    Bug(
        name="price aged by the wall clock alone",
        file="symbol_manager/freshness.py",
        before="max(age_ms, boot_ms - self._seen_ms)",
        after="age_ms",
        tests="unit/symbol_manager/test_freshness.py",
    ),
    Bug(
        name="clock that is behind not noticed",
        file="symbol_manager/freshness.py",
        before="if age_ms < -self._clock_skew_ms:",
        after="if age_ms < -self._stale_after_ms - self._clock_skew_ms:",
        tests="unit/symbol_manager/test_freshness.py",
    ),
    Bug(
        name="stale plan resumed instead of cancelled",
        file="orchestrator/takeover.py",
        before="await self._work.cancel(plans)",
        after="await self._work.resume(plans, CHANGES_QUEUE)",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="silence believed after an outage",
        file="orchestrator/takeover.py",
        before="(trusts_silence and self._silent_s(member) >= self._dead_after_s)",
        after="(self._silent_s(member) >= self._dead_after_s)",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="node declared dead that was heard of since",
        file="store/nodes.py",
        before="AND nodes.heartbeat_at = lost.heartbeat_at",
        after="AND nodes.heartbeat_at >= lost.heartbeat_at",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="what a lost node holds in Postgres left to it",
        file="orchestrator/takeover.py",
        before="            ended = await self._nodes.end_sessions(dead)\n",
        after="            ended = []\n",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="connections of a node ended that was heard of since",
        file="store/nodes.py",
        before="JOIN nodes USING (executor_id, heartbeat_at)",
        after="JOIN nodes USING (executor_id)",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="who is stopped in a transaction waited for unless it is a node",
        file="store/nodes.py",
        before="AND session.xact_start < clock_timestamp() -",
        after="AND session.xact_start > clock_timestamp() +",
        tests="integration/store/test_takeover.py",
    ),
    Bug(
        name="work that nobody does left alone",
        file="orchestrator/takeover.py",
        before="for workflow_id in sorted(self._idle_before & idle.keys()):",
        after="for workflow_id in sorted(self._idle_before - idle.keys()):",
        tests="integration/orchestrator/test_dbos_bugs.py",
    ),
    Bug(
        name="shard run twice by a late resume",
        file="orchestrator/residents.py",
        before="if self._stopping or shard in self._shards:",
        after="if self._stopping:",
        tests="integration/orchestrator/test_dbos_bugs.py",
    ),
    Bug(
        name="poison never given up",
        file="orchestrator/guard.py",
        before="if crashes == CRASHES_MAX:",
        after="if crashes == CRASHES_MAX * 1_000:",
        tests="integration/orchestrator/test_guard.py",
    ),
    Bug(
        name="send guard skipped",
        file="exchanges/connection.py",
        before="            dispatch.guard()\n",
        after="",
        tests="integration/exchanges/test_ccxt_exchange.py",
    ),
    Bug(
        name="lost answer taken for a failure",
        file="exchanges/translate.py",
        before="if kind is OutcomeUnknown and not may_have_acted:",
        after="if kind is OutcomeUnknown:",
        tests="unit/exchanges/test_translate.py",
    ),
    Bug(
        name="no budget kept for cancels",
        file="exchanges/rate_budget.py",
        before="WEIGHT_RESERVES = {Tier.CANCEL: 10, Tier.REDUCE: 5, Tier.ENTRY: 5}",
        after="WEIGHT_RESERVES = {Tier.CANCEL: 0, Tier.REDUCE: 0, Tier.ENTRY: 0}",
        tests="unit/exchanges/test_rate_budget.py",
    ),
    Bug(
        name="stale price traded on",
        file="symbol_manager/course.py",
        before="pulls_entries = bool(now.halt_reason or now.price_reason)",
        after="pulls_entries = bool(now.halt_reason)",
        tests="unit/symbol_manager/test_course.py",
    ),
    Bug(
        name="age of a price not looked at",
        file="symbol_manager/freshness.py",
        before="> self._stale_after_ms else",
        after="> 1_000 * self._stale_after_ms else",
        tests="unit/symbol_manager/test_tenure_quiet.py",
    ),
    Bug(
        name="old decision sent",
        file="symbol_manager/tenure.py",
        before="if has_places and self.ports.clock.boot_ms() - decided_ms > PLAN_AGE_MAX_MS:",
        after="if has_places and decided_ms > self.ports.clock.boot_ms() + PLAN_AGE_MAX_MS:",
        tests="unit/symbol_manager/test_tenure.py",
    ),
    Bug(
        name="decision from before the lease ran out sent",
        file="symbol_manager/tenure.py",
        before="if has_places and self.ports.executor.term != term:",
        after="if has_places and self.ports.executor.term < term:",
        tests="unit/symbol_manager/test_tenure.py",
    ),
    Bug(
        name="symbol quarantined for kills from outside",
        file="orchestrator/guard.py",
        before="if seen.starts >= STARTS_DOUBTED:",
        after="if seen.starts >= STARTS_MAX:",
        tests="integration/orchestrator/test_guard.py",
    ),
    Bug(
        name="kill switch ignored before the socket",
        file="symbol_manager/tenure.py",
        before="if has_places and self.mailbox.wishes.is_killed:",
        after="if not has_places and self.mailbox.wishes.is_killed:",
        tests="unit/symbol_manager/test_tenure.py",
    ),
    Bug(
        name="lease renewed from the answer on",
        file="symbol_manager/lease.py",
        before="self.valid_until_ms = asked_boot_ms + self.duration_ms",
        after="self.valid_until_ms = self._clock.boot_ms() + self.duration_ms",
        tests="unit/symbol_manager/test_lease.py",
    ),
    Bug(
        name="generation used again",
        file="grid/plan.py",
        before="generation=slot.next_generation(desired.side),",
        after="generation=max(1, slot.next_generation(desired.side) - 1),",
        tests="unit/grid/test_plan.py",
    ),
    Bug(
        name="order replaced while it rests",
        file="grid/plan.py",
        before="if order.placeable and key not in live and key not in blocked",
        after="if order.placeable and key not in blocked",
        tests="unit/grid/test_plan.py",
    ),
    Bug(
        name="blocked slot placed",
        file="grid/plan.py",
        before="if order.placeable and key not in live and key not in blocked",
        after="if order.placeable and key not in live",
        tests="unit/grid/test_plan.py",
    ),
    Bug(
        name="dust forgotten",
        file="grid/slots.py",
        before="        slot,\n        closed_units=0,\n",
        after="        slot,\n        inventory_units=0,\n        closed_units=0,\n",
        tests="unit/grid/test_slots.py",
    ),
    Bug(
        name="exit meets an own order",
        file="grid/desired.py",
        before="if _meets_own_buy(view, price_ticks) or not _may_place_exit(",
        after="if not _may_place_exit(",
        tests="unit/grid",
    ),
    Bug(
        name="kill switch ignored by the gate",
        file="risk/gate.py",
        before="        if is_killed:\n",
        after="        if is_killed and not plan.places:\n",
        tests="unit/risk/test_gate.py",
    ),
    Bug(
        name="orders of one plan judged each alone",
        file="risk/gate.py",
        before="            tally.add(place.intent, instrument, limits)\n",
        after="",
        tests="unit/risk/test_gate.py",
    ),
    Bug(
        name="price collar off",
        file="risk/gate.py",
        before="        lowest <= price <= highest,\n",
        after="        lowest <= highest,\n",
        tests="unit/risk/test_gate.py",
    ),
    Bug(
        name="any number taken for an order id of ours",
        file="domain/ids.py",
        before="if _checksum(body) != checksum:",
        after="if checksum < 0:",
        tests="unit/domain/test_ids.py",
    ),
    Bug(
        name="any token accepted",
        file="api/auth.py",
        before="return secrets.compare_digest(shown.encode(), token.encode())",
        after="return bool(shown and token)",
        tests="integration/api/test_security.py",
    ),
    Bug(
        name="read token changes things",
        file="api/auth.py",
        before="if request.method not in _READING:",
        after="if not request.method:",
        tests="integration/api/test_scopes.py",
    ),
    Bug(
        name="any host name accepted",
        file="api/middleware.py",
        before='return urlsplit(f"//{host}").hostname in self._allowed_hosts',
        after='return urlsplit(f"//{host}").hostname != self._allowed_hosts',
        tests="integration/api/test_security.py",
    ),
    Bug(
        name="endless body read to its end",
        file="api/body.py",
        before="if arrived > BODY_BYTES_MAX:",
        after="if arrived < 0:",
        tests="integration/api/test_security.py",
    ),
    Bug(
        name="secrets written to logs",
        file="telemetry/logs.py",
        before="return self._secrets.sub(REDACTED, text)",
        after="return text",
        tests="unit/telemetry/test_logs.py",
    ),
    Bug(
        name="commit of many waits for one shard's lock",
        file="store/statements.py",
        before='COMMIT_DECISIONS_AT_ONCE = text(_COMMIT_DECISIONS.format(patience="SKIP LOCKED"))',
        after='COMMIT_DECISIONS_AT_ONCE = text(_COMMIT_DECISIONS.format(patience=""))',
        tests="integration/store/test_plans.py",
    ),
    Bug(
        name="commit whose connection was lost made again",
        file="store/engine.py",
        before="return _sqlstate(cause) is not None",
        after="return cause is not None",
        tests="integration/store/test_plans.py",
    ),
    Bug(
        name="refusals of a batch given to other orders",
        file="exchanges/order_entry.py",
        before="for name, refusal in zip(refused, refusals, strict=True):",
        after="for name, refusal in zip(refused, reversed(refusals), strict=True):",
        tests="integration/exchanges/test_batches.py",
    ),
    Bug(
        name="dead-man switch fed too late",
        file="orchestrator/dead_man.py",
        before="self._due_ms[symbol] = asked_ms + countdown_s * 1_000 // FEEDS",
        after="self._due_ms[symbol] = asked_ms + countdown_s * 1_000 * FEEDS",
        tests="unit/orchestrator/test_dead_man.py",
    ),
    Bug(
        name="cancels without a commit sent after the lease",
        file="orchestrator/last_resort.py",
        before="            self._lease.check()\n",
        after="",
        tests="unit/orchestrator/test_last_resort.py",
    ),
    Bug(
        name="database that was put back not noticed",
        file="symbol_manager/rollback.py",
        before="return tag.generation >= state.slot(tag.slot).next_generation(tag.side)",
        after="return False",
        tests="integration/symbol_manager/test_rollback.py",
    ),
    Bug(
        name="request that kills its process resumed for ever",
        file="orchestrator/guard.py",
        before="if starts >= CHANGE_STARTS_MAX:",
        after="if starts < 0:",
        tests="integration/orchestrator/test_guard.py",
    ),
    Bug(
        name="plan's shard kept waiting for another's",
        file="orchestrator/plans.py",
        before="result.add_done_callback(partial(self._free, name))",
        after="",
        tests="unit/orchestrator/test_plans.py",
    ),
)
