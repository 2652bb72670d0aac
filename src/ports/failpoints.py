"""The named instants at which a test may kill or stop the process."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Failpoint(StrEnum):
    """Every step boundary of the durable parts, in the order a symbol meets them."""

    CHANGE_BEFORE_RECORD = "apply_change.before_record"
    CHANGE_AFTER_RECORD = "apply_change.after_record"
    CHANGE_BEFORE_RESULT = "apply_change.before_result"
    START_BEFORE_LAUNCH = "start_up.before_launch"
    START_BEFORE_TAKE_OVER = "start_up.before_take_over"
    START_AFTER_TAKE_OVER = "start_up.after_take_over"
    SHARD_BEFORE_CLAIM = "run_shard.before_claim"
    SHARD_AFTER_CLAIM = "run_shard.after_claim"
    SHARD_AFTER_RECONCILE = "run_shard.after_reconcile"
    SHARD_BEFORE_RECORD_FILLS = "run_shard.before_record_fills"
    SHARD_AFTER_RECORD_FILLS = "run_shard.after_record_fills"
    PLAN_BEFORE_COMMIT = "execute_plan.before_commit"
    PLAN_AFTER_COMMIT = "execute_plan.after_commit"
    PLAN_BEFORE_SEND = "execute_plan.before_send"
    PLAN_AFTER_SEND = "execute_plan.after_send"
    PLAN_AFTER_OUTCOMES = "execute_plan.after_outcomes"
    PLAN_BEFORE_RETURN = "execute_plan.before_return"


class Failpoints(Protocol):
    def __call__(self, point: Failpoint) -> None:
        """Pass, unless this point is armed."""
        ...
