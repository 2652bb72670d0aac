"""A node may end by itself for what struck it, while that is in force or heals; not otherwise."""

from __future__ import annotations

import pytest

from chaos.ends import NodeEnd, unexplained
from chaos.faults import End
from chaos.report import Strike
from chaos.schedule import Injection
from chaos.table import FAULTS

BEGAN_S, HEALED_S = 100.0, 110.0
SOON_S = HEALED_S + FAULTS["database-cut"].again_s


def struck(name: str, node: int = 0, *, skipped: str = "", heals: bool = True) -> Strike:
    injection = Injection(
        fault=FAULTS[name], after_s=0.0, hold_s=1.0, nodes=(node,), symbol="", strength=0.0
    )
    return Strike(
        round=1,
        injection=injection,
        skipped=skipped,
        began_s=BEGAN_S,
        healed_s=HEALED_S if heals else None,
    )


def ended(code: int = End.FENCED, at_s: float = BEGAN_S + 1) -> NodeEnd:
    return NodeEnd(node=0, code=code, at_s=at_s, text="it ended")


@pytest.mark.parametrize(
    ("strike", "end", "is_explained"),
    [
        pytest.param(struck("database-cut"), ended(), True, id="fenced while cut off"),
        pytest.param(struck("database-cut"), ended(at_s=SOON_S), True, id="fenced on return"),
        pytest.param(struck("database-cut"), ended(at_s=SOON_S + 1), False, id="long after"),
        pytest.param(struck("database-cut"), ended(at_s=BEGAN_S - 1), False, id="before"),
        pytest.param(struck("database-cut", 1), ended(), False, id="of another node"),
        pytest.param(struck("database-cut"), ended(6), False, id="for want of the exchange"),
        pytest.param(struck("database-cut"), ended(1), False, id="failed"),
        pytest.param(struck("database-cut", heals=False), ended(3), True, id="still in force"),
        pytest.param(struck("postgres-killed", 1), ended(3), True, id="of the only Postgres"),
        pytest.param(struck("disk-full", skipped="no disk"), ended(3), False, id="never struck"),
        pytest.param(struck("node-stopped"), ended(), True, id="fenced while stopped"),
        pytest.param(struck("node-stopped"), ended(3), False, id="stopped with a database"),
        pytest.param(struck("exchange-cut"), ended(), False, id="fenced with a database"),
        pytest.param(struck("exchange-cut"), ended(6), False, id="without an exchange"),
    ],
)
def test_end_is_explained_by_what_struck_its_node_then(
    strike: Strike, end: NodeEnd, is_explained: bool
) -> None:
    assert unexplained([end], [strike], 1.0) == ([] if is_explained else ["it ended"])


def test_end_is_explained_by_any_fault_of_the_run() -> None:
    strikes = [struck("database-cut"), struck("order-lost")]
    assert unexplained([ended(at_s=SOON_S)], strikes, 1.0) == []


def test_slow_machine_has_more_time() -> None:
    late = ended(at_s=SOON_S + 1)
    assert unexplained([late], [struck("database-cut")], 2.0) == []
