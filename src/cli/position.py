"""`gridkeeper position`: inventory, and how it compares with the exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer

from cli.asking import Patience, RequestId, TimeoutS, Wait, ask
from cli.render import Column, Facts, show_rows
from cli.session import Format, Output, SymbolFilter, SymbolName, session_of
from cli.watch import Watch, answer
from orchestrator.bootstrap import Database
from store import history
from store.history import PositionRecord, SlotRecord

#: The newest findings are shown.
FINDINGS_MAX = 20

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[PositionRecord], ...] = (
    Column("symbol", lambda position: position.symbol),
    Column("status", lambda position: position.status, is_detail=True),
    Column("inventory", lambda position: position.inventory),
    Column("base", lambda position: position.base),
    Column("cost", lambda position: position.cost),
    Column("average price", lambda position: position.average_price, is_detail=True),
    Column("quote", lambda position: position.quote),
    Column("dust", lambda position: position.dust, is_detail=True),
    Column("slots", lambda position: len(position.slots), is_detail=True),
    Column("reconciled (UTC)", lambda position: position.reconciled_at, is_detail=True),
)
#: As the venue showed them at the last comparison.
_CONTRACTS: tuple[Column[PositionRecord], ...] = (
    Column("contract", lambda position: position.symbol),
    Column("at the venue", lambda position: position.venue_quantity),
    Column("entry price", lambda position: position.entry_price),
    Column("mark", lambda position: position.mark_price),
    Column("liquidation", lambda position: position.liquidation_price),
    Column("margin", lambda position: position.initial_margin),
    Column("maintenance", lambda position: position.maintenance_margin),
)
_SLOTS: tuple[Column[SlotRecord], ...] = (
    Column("slot", lambda slot: slot.slot),
    Column("inventory", lambda slot: slot.inventory),
    Column("cost", lambda slot: slot.cost),
    Column("average price", lambda slot: slot.average_price),
    Column("dust", lambda slot: slot.dust),
    Column("closed", lambda slot: slot.closed),
    Column("proceeds", lambda slot: slot.proceeds),
)


@app.callback()
def position() -> None:
    """Inventory."""


@app.command()
def show(
    context: typer.Context,
    symbol: SymbolFilter = None,
    watch: Watch = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what the slots hold and what it cost; for one symbol, slot by slot."""

    def show_all(found: Sequence[PositionRecord]) -> None:
        show_rows(found, _COLUMNS, output, empty="no symbols")
        contracts = [each for each in found if each.venue_quantity is not None]
        if contracts and output is Format.TABLE:
            show_rows(contracts, _CONTRACTS, output, empty="")
        if symbol is not None and output is Format.TABLE:
            for each in found:
                show_rows(each.slots, _SLOTS, output, empty="every slot is flat")

    answer(
        session_of(context),
        watch,
        lambda database: history.positions(database.engine, symbol),
        show_all,
    )


@app.command()
def reconcile(
    context: typer.Context,
    symbol: SymbolName,
    *,
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Compare a symbol with the exchange now, and show what such comparisons found."""

    async def look(database: Database) -> Facts:
        seen = await history.symbol(database.engine, symbol)
        found = await history.findings(database.engine, symbol, limit=FINDINGS_MAX)
        return {
            "reconciled_at": None if seen is None else seen.reconciled_at,
            "findings": [asdict(finding) for finding in found],
        }

    ask(
        session_of(context),
        lambda requests, new_id: requests.reconcile(symbol, new_id),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
        look,
    )
