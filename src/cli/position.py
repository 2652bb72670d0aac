"""`gridkeeper position`: inventory, and how it last compared with the exchange."""

from __future__ import annotations

import typer

from cli.context import with_database
from cli.render import Column, print_json, show_facts, show_rows
from cli.session import Format, Limit, Output, SymbolFilter, SymbolName, session_of
from cli.unknown import unknown_symbol
from orchestrator.bootstrap import Database
from store import history
from store.history import FindingRecord, PositionRecord, SlotRecord, SymbolRecord

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[PositionRecord], ...] = (
    Column("symbol", lambda position: position.symbol),
    Column("status", lambda position: position.status),
    Column("inventory", lambda position: position.inventory),
    Column("base", lambda position: position.base),
    Column("cost", lambda position: position.cost),
    Column("average price", lambda position: position.average_price),
    Column("quote", lambda position: position.quote),
    Column("dust", lambda position: position.dust),
    Column("slots", lambda position: len(position.slots)),
    Column("reconciled (UTC)", lambda position: position.reconciled_at),
)
_SLOTS: tuple[Column[SlotRecord], ...] = (
    Column("slot", lambda slot: slot.slot),
    Column("inventory", lambda slot: slot.inventory),
    Column("cost", lambda slot: slot.cost),
    Column("average price", lambda slot: slot.average_price),
    Column("dust", lambda slot: slot.dust),
    Column("sold", lambda slot: slot.sold),
    Column("proceeds", lambda slot: slot.proceeds),
)
_FINDINGS: tuple[Column[FindingRecord], ...] = (
    Column("found (UTC)", lambda finding: finding.found_at),
    Column("kind", lambda finding: finding.kind),
    Column("subject", lambda finding: finding.subject),
    Column("detail", lambda finding: finding.detail),
)


@app.callback()
def position() -> None:
    """Inventory."""


@app.command()
def show(
    context: typer.Context, symbol: SymbolFilter = None, output: Output = Format.TABLE
) -> None:
    """Show what the slots hold and what it cost; for one symbol, slot by slot."""
    found = with_database(
        session_of(context), lambda database: history.positions(database.engine, symbol)
    )
    show_rows(found, _COLUMNS, output, empty="no symbols")
    if symbol is not None and output is Format.TABLE:
        for each in found:
            show_rows(each.slots, _SLOTS, output, empty="every slot is flat")


@app.command()
def reconcile(
    context: typer.Context,
    symbol: SymbolName,
    limit: Limit = 100,
    output: Output = Format.TABLE,
) -> None:
    """Show when a symbol was last compared with the exchange, and what was found.

    Its node compares on its own: at a start, after a lost stream and every `reconcile_every_s`.
    """

    async def look(
        database: Database,
    ) -> tuple[SymbolRecord | None, tuple[FindingRecord, ...]]:
        return (
            await history.symbol(database.engine, symbol),
            await history.findings(database.engine, symbol, limit=limit),
        )

    found, findings = with_database(session_of(context), look)
    if found is None:
        raise unknown_symbol(symbol)
    facts = {"symbol": symbol, "status": found.status, "reconciled_at": found.reconciled_at}
    if output is Format.JSON:
        print_json(facts | {"findings": findings})
        return
    show_facts(facts, output)
    show_rows(findings, _FINDINGS, output, empty="nothing unexpected was ever found")
