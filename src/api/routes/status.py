"""What this node does right now, from memory; history is asked of the other nouns."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.served import Running
from api.values import Moment, Record, Symbol
from domain.orders import OrderStatus
from orchestrator.settings import Mode
from ports.store import Status
from store import history

router = APIRouter(tags=["operations"])


class RunningSymbol(BaseModel):
    """A symbol that this node runs, as it was after its last loop."""

    symbol: Symbol
    epoch: int = Field(description="Raised each time a node takes the symbol.", examples=[3])
    status: Status
    reason: str = Field(description="Why it has that status; often empty.", examples=[""])
    live_orders: dict[OrderStatus, int] = Field(examples=[{"open": 10}])
    parked_trades: int = Field(description="Trades whose order is not known yet.", examples=[0])


class SettingsReload(Record):
    """What came of reading the settings again."""

    at: Moment
    changed: list[str] = Field(
        description="Settings that are others since.", examples=[["risk.max_symbols"]]
    )
    refused: str = Field(description="Why none is; empty if they were taken up.", examples=[""])


class NodeStatus(BaseModel):
    version: str = Field(examples=["0.1.0"])
    node: str = Field(examples=["trader-1"])
    account: str = Field(examples=["sim"])
    venue: str = Field(examples=["binance"])
    mode: Mode
    kill_switch_engaged: bool
    reloaded: SettingsReload | None = Field(
        description="The last time that it read its settings again; null before the first."
    )
    symbols: list[RunningSymbol]


@router.get("/status")
async def node_status(served: Running) -> NodeStatus:
    """This node, its account, the kill switch, and the symbols that run here."""
    settings = served.settings
    kill_switch = await history.kill_switch(served.database.engine)
    return NodeStatus(
        version=version("gridkeeper"),
        node=settings.node_name,
        account=settings.account.name,
        venue=settings.account.venue,
        mode=settings.account.mode,
        reloaded=None
        if served.reloaded is None
        else SettingsReload.model_validate(served.reloaded),
        kill_switch_engaged=kill_switch is not None and kill_switch.engaged,
        symbols=[
            RunningSymbol(
                symbol=view.symbol,
                epoch=view.epoch,
                status=view.status,
                reason=view.reason,
                live_orders=view.live_orders,
                parked_trades=view.parked_trades,
            )
            for view in sorted(served.node.views.values(), key=lambda view: view.symbol)
        ],
    )
