"""The read side: what happened and what is, for the command line, the API and the pages alike.

Every question is one or a few statements on Postgres and needs no running node.
"""

from store.history.accounting import (
    PositionRecord,
    ProfitRecord,
    SlotRecord,
    positions,
    profits,
)
from store.history.orders import (
    DecisionRecord,
    FillRecord,
    OrderRecord,
    decision,
    decisions,
    fills,
    fills_of,
    order,
    orders,
)
from store.history.specs import SpecVersion, spec_versions
from store.history.story import Event, Story, narrate, why
from store.history.symbols import FindingRecord, SymbolRecord, findings, symbol, symbols
from store.history.system import KillSwitch, NodeRecord, kill_switch, nodes
from store.history.workflows import (
    StepRecord,
    WorkflowDetail,
    WorkflowRecord,
    workflow,
    workflows,
)

__all__ = [
    "DecisionRecord",
    "Event",
    "FillRecord",
    "FindingRecord",
    "KillSwitch",
    "NodeRecord",
    "OrderRecord",
    "PositionRecord",
    "ProfitRecord",
    "SlotRecord",
    "SpecVersion",
    "StepRecord",
    "Story",
    "SymbolRecord",
    "WorkflowDetail",
    "WorkflowRecord",
    "decision",
    "decisions",
    "fills",
    "fills_of",
    "findings",
    "kill_switch",
    "narrate",
    "nodes",
    "order",
    "orders",
    "positions",
    "profits",
    "spec_versions",
    "symbol",
    "symbols",
    "why",
    "workflow",
    "workflows",
]
