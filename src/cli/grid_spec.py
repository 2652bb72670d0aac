"""A grid's document from options or from a file, and what is wrong with it in the words of either.

Who typed flags reads of flags; who wrote a file reads of its fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cli.errors import InvalidSettings
from cli.grid_options import GridOptions, GridSource, Spacing, fields_by_option, flag
from cli.render import plain
from domain.errors import ConfigurationError
from grid.spec import GridSpec

_BP = Decimal(10_000)
_FIELDS = fields_by_option()
#: Parts that come in several kinds: pydantic's locations name the kind, ours do not.
_KINDS = ("spacing", "range", "order_size")
_QUOTED = re.compile(r"`([a-z_.]+)`")
#: In sentences about `spacing.ratio`.
_RATIO = re.compile(r"\b1\.\d+\b")
_RATIO_FIELD = "spacing.ratio"


def grid_of(source: GridSource) -> GridSpec:
    """The grid that is described, its form checked.

    Raises
    ------
    ConfigurationError
        If it is not described wholly and once, a file cannot be read, or a value breaks a rule.
    """
    try:
        return GridSpec.model_validate(spec_of(source.options, source.file))
    except ValidationError as error:
        problems = [problem_of(item, source) for item in error.errors()]
        raise problems[0] if len(problems) == 1 else InvalidSettings(problems) from None


def spec_of(options: GridOptions, file: Path | None) -> Mapping[str, object]:
    """The grid as a document, its values unchecked.

    Raises
    ------
    ConfigurationError
        If options are missing or exclude each other, or the file cannot be read.
    """
    given = options.given()
    if file is not None:
        if given:
            raise _wrong(f"--file excludes {_flags(given)}", "give one or the other")
        return read_spec(file)
    _required(options, "budget")
    spec: dict[str, Any] = {
        "spacing": _spacing(options),
        "range": _range(options),
        "order_size": _order_size(options),
    }
    for name, value in given.items():
        part, _, field = _FIELDS[name].partition(".")
        if part in _KINDS:
            continue
        if field:
            spec.setdefault(part, {})[field] = value
        else:
            spec[part] = value
    return spec


def read_spec(file: Path) -> Mapping[str, object]:
    """A spec from YAML or JSON, its numbers exactly as written."""
    try:
        text = file.read_text()
        document: object = (
            json.loads(text, parse_float=Decimal)
            if file.suffix == ".json"
            else yaml.load(text, Loader=ExactLoader)  # noqa: S506  # nosec B506  # a safe loader
        )
    except (OSError, ValueError, InvalidOperation, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise _wrong(f"{file}: {reason}", "give a readable YAML or JSON file") from None
    if not isinstance(document, dict):
        raise _wrong(f"{file} holds no object", "see `gridkeeper symbol show` for an example")
    return document


@dataclass(frozen=True, slots=True)
class Wording:
    """Says what is wrong with a grid in the words that its operator used for it."""

    source: GridSource

    def of_text(self, text: str) -> str:
        """A sentence that quotes fields, such as the refusal that a workflow ended with."""
        if self.source.file is not None:
            return text
        if f"`{_RATIO_FIELD}`" in text:
            text = _RATIO.sub(lambda found: _in_bp(found[0]), text)
        return _QUOTED.sub(lambda found: f"`{self.of_field(found[1])}`", text)

    def of_error(self, error: ConfigurationError) -> ConfigurationError:
        def reworded(text: str) -> str:
            if error.field == _RATIO_FIELD and self.source.file is None:
                text = _RATIO.sub(lambda found: _in_bp(found[0]), text)
            return self.of_text(text)

        return ConfigurationError(
            field=self.of_field(error.field),
            rule=reworded(error.rule),
            value="missing" if error.value == "None" else reworded(error.value),
            remedy=reworded(error.remedy),
        )

    def of_field(self, field: str) -> str:
        """The flags that a field comes from; the field itself where no flag sets it."""
        if self.source.file is not None:
            return field
        options = _options_of(field)
        given = [name for name in options if name in self.source.options.given()]
        return _flags(given or options) or field


def problem_of(item: Any, source: GridSource) -> ConfigurationError:
    """One of pydantic's findings."""
    path = [str(part) for part in item["loc"]]
    if path and path[0] in _KINDS:
        del path[1:2]
    field = ".".join(path) or "grid"
    rule, _, value = str(item["msg"]).removeprefix("Value error, ").partition(", was ")
    rule = rule.replace("Input should be", "must be", 1).replace("Decimal input should", "must", 1)
    given = item["input"]
    if item["type"] == "missing":
        rule, value = _why_needed(path, source), "missing"
    elif not value:
        value = "otherwise" if isinstance(given, Mapping) else f"{given}"[:60]
    return ConfigurationError(
        field=Wording(source).of_field(field),
        rule=rule,
        value=value,
        remedy="see `gridkeeper symbol add --help`"
        if source.file is None
        else f"correct it in {source.file}",
    )


def _why_needed(path: list[str], source: GridSource) -> str:
    beside = [name for name in _options_of(path[0]) if name in source.options.given()]
    return f"must be given with {_flags(beside)}" if beside else "must be given"


def _options_of(field: str) -> list[str]:
    """The options that set a field, or a part of it."""
    field = "range.anchor" if field == "anchor" else field
    return [name for name, of in _FIELDS.items() if of == field or of.startswith(f"{field}.")]


def _in_bp(ratio: str) -> str:
    return f"{plain((Decimal(ratio) - 1) * _BP)} bp"


class ExactLoader(yaml.SafeLoader):
    """Floating-point numbers would lose their decimals before they are looked at."""

    def construct_exact(self, node: yaml.ScalarNode) -> Decimal:
        return Decimal(self.construct_scalar(node))


ExactLoader.add_constructor("tag:yaml.org,2002:float", ExactLoader.construct_exact)


def _spacing(options: GridOptions) -> dict[str, object]:
    _exclusive(options, "step", "step_bp", "count")
    if options.count is not None:
        progression = options.spacing or Spacing.ARITHMETIC
        return {"kind": "division", "count": options.count, "progression": progression.value}
    if options.step_bp is not None:
        kind, step_bp = Spacing.GEOMETRIC, _decimal(options, "step_bp")
        if not 0 < step_bp <= _BP:
            raise _wrong(f"--step-bp {options.step_bp}", f"give more than 0 and at most {_BP}")
        spacing: dict[str, object] = {"ratio": str(1 + step_bp / _BP)}
    else:
        step = _required(options, "step", "step_bp")
        kind, spacing = Spacing.ARITHMETIC, {"step": step}
    if options.spacing not in {None, kind}:
        needed = "--step" if options.spacing is Spacing.ARITHMETIC else "--step-bp"
        raise _wrong(f"--spacing {options.spacing} without {needed}", f"give {needed}")
    return {"kind": kind.value, **spacing}


def _range(options: GridOptions) -> dict[str, object]:
    given = set(options.given())
    ends = {"lower", "upper"} & given
    around = {"buy_window", "sell_window", "anchor"} & given
    trailing = {"trail_up_to", "trail_down_to"} & given
    widening = {"volatility", "volatility_candles", "volatility_scale"} & given
    if ends and around:
        raise _wrong(f"{_flags(ends)} exclude {_flags(around)}", "choose a range or a window")
    if ends and widening:
        raise _wrong(
            f"{_flags(ends)} exclude {_flags(widening)}",
            "choose a window: the levels of a fixed range are given",
        )
    if ends:
        return {
            "kind": "fixed",
            "lower": _required(options, "lower"),
            "upper": _required(options, "upper"),
        }
    if trailing:
        raise _wrong(
            f"{_flags(trailing)} without --lower and --upper",
            "give a range: a window follows the price by itself",
        )
    if options.count is not None:
        raise _wrong("--count without --lower and --upper", "give the range that it divides")
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
        wanted = flag(name) + (f" or {flag(instead)}" if instead else "")
        raise _wrong(f"without {wanted}", f"give {wanted}, or the whole grid with --file")
    return value


def _exclusive(options: GridOptions, *names: str) -> None:
    both: Collection[str] = options.given().keys() & set(names)
    if len(both) > 1:
        raise _wrong(f"both {_flags(both)}", "give one of them")


def _decimal(options: GridOptions, name: str) -> Decimal:
    try:
        value = Decimal(getattr(options, name))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise _wrong(f"{flag(name)} {getattr(options, name)}", "give a decimal number")
    return value


def _flags(names: Iterable[str]) -> str:
    return ", ".join(flag(name) for name in sorted(names))


def _wrong(value: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        field="grid", rule="must be described once and wholly", value=value, remedy=remedy
    )
