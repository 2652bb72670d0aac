"""`gridkeeper symbol update`, `versions` and `revert`: other grids for a symbol that is traded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.asking import Patience, RequestId, TimeoutS, Wait, ask
from cli.context import load, with_database
from cli.grid_options import GridOptions, GridSource, Spacing, takes_grid
from cli.grid_spec import Wording, spec_of
from cli.render import Column, print_json, show_lines, show_rows, words
from cli.session import Format, Output, SymbolName, session_of
from cli.unknown import unknown_symbol
from domain.errors import ConfigurationError
from grid.check import SpecReport
from grid.spec import GridSpec
from orchestrator.preview import Preview, PreviewedOrder, preview_update
from orchestrator.requests import checked_spec
from store import history
from store.history import SpecVersion, SymbolRecord

_VERSIONS: tuple[Column[SpecVersion], ...] = (
    Column("version", lambda made: f"{made.version}{' (current)' if made.is_current else ''}"),
    Column("made (UTC)", lambda made: made.made_at),
    Column("ladder", lambda made: made.ladder_version),
    Column("changes", lambda made: _changes(made.changes)),
    Column("note", lambda made: made.note),
    Column("requested by", lambda made: made.requested_by, is_detail=True),
)
_ORDERS: tuple[Column[tuple[str, PreviewedOrder]], ...] = (
    Column("", lambda row: row[0]),
    Column("side", lambda row: row[1].side),
    Column("price", lambda row: row[1].price),
    Column("quantity", lambda row: row[1].quantity),
    Column("purpose", lambda row: row[1].purpose),
    Column("ladder", lambda row: row[1].ladder_version, is_detail=True),
    Column("slot", lambda row: row[1].slot, is_detail=True),
    Column("client order id", lambda row: row[1].client_order_id, is_detail=True),
)

Note = Annotated[str, typer.Option(help="Why, for the list of versions.")]


@takes_grid
def update(
    context: typer.Context,
    symbol: SymbolName,
    *,
    grid: GridSource,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Drop an optional part, such as stop_loss."),
    ] = None,
    expected_version: Annotated[
        int | None, typer.Option(help="Refuse unless this is the current version.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it would do.")] = False,
    note: Note = "",
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Trade it on another grid from now on; what is not given stays as it is.

    Orders that the new grid wants, too, rest on. Twice the budget: gridkeeper symbol update
    BTC/USDT --budget 2000 --preview
    """
    session = session_of(context)
    present = with_database(session, lambda database: history.symbol(database.engine, symbol))
    if present is None:
        raise unknown_symbol(symbol)
    spec = updated_spec(present, grid.options, grid.file, without or [])
    if grid.file is None and expected_version is None:
        expected_version = present.spec_version  # what is not given was read from this one
    if preview:
        settings = load(session)
        wanted = GridSpec.model_validate(checked_spec(spec))
        shown = with_database(
            session,
            lambda database: preview_update(
                database.engine,
                settings.account.name,
                symbol,
                wanted,
                expected_version,
                settings.risk.portfolio,
            ),
        )
        show_preview(shown, output)
        return
    ask(
        session,
        lambda requests, new_id: requests.update(
            symbol, spec, new_id, note=note, expected_version=expected_version
        ),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
        wording=Wording(grid).of_text,
    )


def versions(context: typer.Context, symbol: SymbolName, output: Output = Format.TABLE) -> None:
    """List the grids it has had, and what each changed."""
    found = with_database(
        session_of(context), lambda database: history.spec_versions(database.engine, symbol)
    )
    if not found:
        raise unknown_symbol(symbol)
    show_rows(found, _VERSIONS, output, empty="no versions")


def revert(
    context: typer.Context,
    symbol: SymbolName,
    *,
    to: Annotated[int, typer.Option(metavar="VERSION", help="As `symbol versions` shows it.")],
    note: Note = "",
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Trade it on the grid of an earlier version again, as a new version."""
    ask(
        session_of(context),
        lambda requests, new_id: requests.revert(symbol, to, new_id, note=note),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
    )


def updated_spec(
    present: SymbolRecord, options: GridOptions, file: Path | None, without: list[str]
) -> Mapping[str, object]:
    """The present grid with the given options over it, or the whole of a file.

    Raises
    ------
    ConfigurationError
        If the options exclude each other or change nothing, or a part cannot be dropped.
    """
    if file is not None:
        if without:
            raise _wrong("--without", "must be left out with --file", without)
        return spec_of(options, file)
    for name in without:
        if name not in GridSpec.model_fields or GridSpec.model_fields[name].is_required():
            raise _wrong("--without", "must name an optional part of the grid", name)
    kept = {name: part for name, part in present.spec.items() if name not in without}
    if not options.given():
        return kept
    before = spec_of(_completed(GridOptions(), kept), None)
    asked = spec_of(_completed(options, kept), None)
    return _merged(kept, {name: asked[name] for name in asked if asked[name] != before.get(name)})


def _completed(options: GridOptions, present: Mapping[str, Any]) -> GridOptions:
    """The options with the present grid's where a whole one needs some and none was given."""
    spacing, range_, size = present["spacing"], present["range"], present["order_size"]
    given = set(options.given())
    more: dict[str, Any] = {"budget": present["budget_quote"]}
    if not given & {"step", "step_bp"} and spacing["kind"] == "division":
        more |= {"count": spacing["count"], "spacing": Spacing(spacing["progression"])}
    elif not given & {"step", "step_bp", "count"}:
        if spacing["kind"] == "arithmetic":
            more["step"] = spacing["step"]
        else:
            more["step_bp"] = str((Decimal(spacing["ratio"]) - 1) * 10_000)
    if given & {"lower", "upper"} or (
        range_["kind"] == "fixed" and not given & {"buy_window", "sell_window", "anchor"}
    ):
        more |= {name: range_[name] for name in ("lower", "upper") if name in range_}
    elif range_["kind"] == "window":
        more |= {
            name: range_[name]
            for name in ("buy_window", "sell_window", "anchor")
            if range_[name] is not None
        }
    if not given & {"order_quote", "order_base"}:
        more[f"order_{size['kind']}"] = size["amount"]
    chosen = {name: getattr(options, name) for name in given}
    return GridOptions(**more | chosen)


def _merged(present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of the same kind field by field, all else as given."""
    merged = dict(present)
    for name, part in given.items():
        before = present.get(name)
        if (
            isinstance(before, Mapping)
            and isinstance(part, Mapping)
            and before.get("kind") == part.get("kind")
        ):
            merged[name] = {**before, **part}
        else:
            merged[name] = part
    return merged


def show_preview(preview: Preview, output: Format) -> None:
    """The orders that go, come and stay, then the numbers of both grids."""
    if output is Format.JSON:
        print_json(preview)
        return
    rows = [("goes", order) for order in preview.go]
    rows += [("comes", order) for order in preview.come]
    rows += [("stays", order) for order in preview.stay]
    rows.sort(key=lambda row: -row[1].price)
    show_lines([f"{preview.symbol} at {words(preview.price)}: version {preview.version} → next"])
    show_rows(rows, _ORDERS, output, empty="no orders rest, and none would")
    show_lines(
        [
            f"{len(preview.go)} orders go, {len(preview.come)} come, {len(preview.stay)} stay",
            *_compared(preview),
        ]
    )


def _compared(preview: Preview) -> Iterator[str]:
    """One line a number, with an arrow where it changes."""
    now, then = _numbers(preview, is_then=False), _numbers(preview, is_then=True)
    for name, value in now.items():
        before, after = words(value), words(then[name])
        yield f"  {name}: {before}" + ("" if before == after else f" → {after}")


def _numbers(preview: Preview, *, is_then: bool) -> dict[str, object]:
    grid = preview.then if is_then else preview.now
    report: SpecReport | None = grid.report
    return {
        "budget in quote": grid.budget_quote,
        "most open orders": grid.max_open_orders,
        "profit per round trip": report and report.profit_per_round_trip,
        "order quantity": report and report.order_quantity,
        "lowest buy": report and report.lowest_buy,
        "highest sell": report and report.highest_sell,
        "ladder": grid.ladder_version,
        "stage": grid.stage,
    }


def _wrong(field: str, rule: str, value: object) -> ConfigurationError:
    return ConfigurationError(
        field=field, rule=rule, value=value, remedy="see the spec of `gridkeeper symbol show`"
    )


def _changes(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return "; ".join(
        f"{name}: {words(before)} → {words(after)}" for name, (before, after) in changes.items()
    )
