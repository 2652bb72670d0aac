"""A grid from the command line: from single options, or from a file that holds the whole spec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigurationError

_BP = Decimal(10_000)


class Spacing(StrEnum):
    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """The options as typed; `None` where one was not given."""

    spacing: Spacing | None = None
    step: str | None = None
    step_bp: str | None = None
    buy_window: int | None = None
    sell_window: int | None = None
    anchor: str | None = None
    lower: str | None = None
    upper: str | None = None
    order_quote: str | None = None
    order_base: str | None = None
    budget: str | None = None
    max_open_orders: int | None = None
    placement_buffer: str | None = None
    price_collar: str | None = None

    def given(self) -> set[str]:
        return {item.name for item in fields(self) if getattr(self, item.name) is not None}


def spec_of(options: GridOptions, file: Path | None) -> Mapping[str, object]:
    """The grid spec as a document; its values are checked where it is asked for.

    Raises
    ------
    ConfigurationError
        If options are missing or exclude each other, or the file cannot be read.
    """
    if file is not None:
        if options.given():
            raise _wrong(f"--file excludes {_flags(options.given())}", "give one or the other")
        return read_spec(file)
    spec: dict[str, object] = {
        "spacing": _spacing(options),
        "range": _range(options),
        "order_size": _order_size(options),
        "budget_quote": _required(options, "budget"),
    }
    for name in ("max_open_orders", "placement_buffer", "price_collar"):
        if name in options.given():
            spec[name] = getattr(options, name)
    return spec


def read_spec(file: Path) -> Mapping[str, object]:
    """A spec from YAML or JSON, its numbers exactly as written."""
    try:
        text = file.read_text()
        document: object = (
            json.loads(text, parse_float=Decimal)
            if file.suffix == ".json"
            else yaml.load(text, Loader=_ExactLoader)  # noqa: S506  # a subclass of the safe one
        )
    except (OSError, ValueError, InvalidOperation, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise _wrong(f"{file}: {reason}", "give a readable YAML or JSON file") from None
    if not isinstance(document, dict):
        raise _wrong(f"{file} holds no object", "see `gridkeeper symbol show` for an example")
    return document


class _ExactLoader(yaml.SafeLoader):
    """Floating-point numbers would lose their decimals before they are looked at."""

    def construct_exact(self, node: yaml.ScalarNode) -> Decimal:
        return Decimal(self.construct_scalar(node))


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _ExactLoader.construct_exact)


def _spacing(options: GridOptions) -> dict[str, object]:
    _exclusive(options, "step", "step_bp")
    if "step_bp" in options.given():
        kind, step_bp = Spacing.GEOMETRIC, _decimal(options, "step_bp")
        spacing: dict[str, object] = {"ratio": str(1 + step_bp / _BP)}
    else:
        kind, spacing = Spacing.ARITHMETIC, {"step": _required(options, "step", "step_bp")}
    if options.spacing not in {None, kind}:
        needed = "--step" if options.spacing is Spacing.ARITHMETIC else "--step-bp"
        raise _wrong(f"--spacing {options.spacing} without {needed}", f"give {needed}")
    return {"kind": kind.value, **spacing}


def _range(options: GridOptions) -> dict[str, object]:
    ends = {"lower", "upper"} & options.given()
    around = {"buy_window", "sell_window", "anchor"} & options.given()
    if ends and around:
        raise _wrong(f"{_flags(ends)} exclude {_flags(around)}", "choose a range or a window")
    if ends:
        return {
            "kind": "fixed",
            "lower": _required(options, "lower"),
            "upper": _required(options, "upper"),
        }
    window: dict[str, object] = {
        "kind": "window",
        "buy_window": _required(options, "buy_window", "lower"),
        "sell_window": _required(options, "sell_window"),
    }
    return window | ({"anchor": options.anchor} if options.anchor is not None else {})


def _order_size(options: GridOptions) -> dict[str, object]:
    _exclusive(options, "order_quote", "order_base")
    if options.order_base is not None:
        return {"kind": "base", "amount": options.order_base}
    return {"kind": "quote", "amount": _required(options, "order_quote", "order_base")}


def _required(options: GridOptions, name: str, instead: str | None = None) -> Any:
    value = getattr(options, name)
    if value is None:
        wanted = _flags([name]) + (f" or {_flags([instead])}" if instead else "")
        raise _wrong(f"without {wanted}", f"give {wanted}, or the whole grid with --file")
    return value


def _exclusive(options: GridOptions, *names: str) -> None:
    both = options.given() & set(names)
    if len(both) > 1:
        raise _wrong(f"both {_flags(both)}", "give one of them")


def _decimal(options: GridOptions, name: str) -> Decimal:
    try:
        value = Decimal(getattr(options, name))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise _wrong(f"{_flags([name])} {getattr(options, name)}", "give a decimal number")
    return value


def _flags(names: Any) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))


def _wrong(value: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        field="grid", rule="must be described once and wholly", value=value, remedy=remedy
    )
