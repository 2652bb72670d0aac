"""A file that declares the symbols of an account, each with its grid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import InvalidOperation
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cli.errors import InvalidSettings
from cli.grid_options import GridOptions, GridSource
from cli.grid_spec import ExactLoader, problem_of
from domain.errors import ConfigurationError
from domain.ids import symbol_key
from domain.instrument import MarketKind
from grid.spec import GridSpec
from risk.reservations import Market, PortfolioLimits, Reserving, check_portfolio

#: A file larger than this is none of ours.
BYTES_MAX = 1 << 20
SYMBOLS_MAX = 2000
#: Parts that others refer to, by YAML's anchors, and that declare nothing themselves.
_SHARED = re.compile(r"x-.*")
_KNOWN = ("account", "symbols")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a file declares, its form checked."""

    file: Path
    account: str
    symbols: Mapping[str, GridSpec]


@dataclass(slots=True)
class _Reading:
    """A file on its way to be a declaration, with what is wrong with it."""

    file: Path
    root: yaml.Node
    problems: list[ConfigurationError] = field(default_factory=list)

    def refuse(self, path: Sequence[object], rule: str, value: object, remedy: str) -> None:
        where = f"{self.file}, line {self.line(path)}"
        self.problems.append(
            ConfigurationError(
                field=".".join(map(str, path)) or "file",
                rule=rule,
                value=value,
                remedy=f"{remedy} ({where})",
            )
        )

    def line(self, path: Iterable[object]) -> int:
        """The line of the innermost part of a path that the file has."""
        node, line = self.root, self.root.start_mark.line
        for part in path:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            for key, inner in pairs:
                if key.value == str(part):
                    node, line = inner, key.start_mark.line
        return line + 1


def read_declaration(file: Path, account: str, limits: PortfolioLimits) -> Declaration:
    """Read and check everything that needs neither a database nor an exchange.

    Raises
    ------
    ConfigurationError
        If the file cannot be read.
    InvalidSettings
        With each thing that is wrong, and the line on which it stands.
    """
    reading, document = _load(file)
    if not isinstance(document, dict):
        reading.refuse((), "must hold an object", type(document).__name__, "declare `symbols:`")
        raise InvalidSettings(reading.problems)
    for name in document:
        if name not in _KNOWN and not (isinstance(name, str) and _SHARED.fullmatch(name)):
            reading.refuse((name,), "must be account, symbols or x-…", name, "correct its name")
    named = document.get("account", account)
    if named != account:
        reading.refuse(
            ("account",), f"must be the account of the settings, {account}", named, "use its file"
        )
    symbols = _symbols(reading, document.get("symbols"), account)
    _check_limits(reading, symbols, limits)
    if reading.problems:
        raise InvalidSettings(reading.problems)
    return Declaration(file=file, account=account, symbols=symbols)


def _load(file: Path) -> tuple[_Reading, object]:
    try:
        text = file.read_bytes()
        if len(text) > BYTES_MAX:
            raise ValueError(f"has {len(text)} bytes, which is more than {BYTES_MAX}")
        loader = ExactLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise ValueError("is empty")
        reading = _Reading(file, root)
        _refuse_duplicates(reading)
        document: object = loader.construct_document(root)
    except (OSError, ValueError, InvalidOperation, RecursionError, yaml.YAMLError) as error:
        raise ConfigurationError(
            field="file",
            rule="must be readable YAML or JSON",
            value=f"{file}: {' '.join(str(error).split())}",
            remedy="name a file as configs/symbols.example.yaml is one",
        ) from None
    return reading, document


def _refuse_duplicates(reading: _Reading) -> None:
    """YAML's readers let the last one win, and the first is lost without a word."""
    nodes, seen = [reading.root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.MappingNode):
            continue
        seen.add(id(node))
        names = set()
        for key, inner in node.value:
            nodes.append(inner)
            name = str(key.value)
            if name in names:
                where = f"{reading.file}, line {key.start_mark.line + 1}"
                reading.problems.append(
                    ConfigurationError(
                        field=name,
                        rule="must stand once in an object",
                        value="there twice",
                        remedy=f"drop one of them ({where})",
                    )
                )
            names.add(name)


def _symbols(reading: _Reading, given: Any, account: str) -> dict[str, GridSpec]:
    if not isinstance(given, dict):
        value = "missing" if given is None else type(given).__name__
        rule = "must hold an object of symbols, each with its grid"
        reading.refuse(("symbols",), rule, value, "write {} to declare none")
        return {}
    if len(given) > SYMBOLS_MAX:
        rule = f"must hold at most {SYMBOLS_MAX} symbols"
        reading.refuse(("symbols",), rule, len(given), "split the accounts")
        return {}
    found = {}
    for symbol, grid in given.items():
        try:
            symbol_key(account, str(symbol))
            found[str(symbol)] = GridSpec.model_validate(grid)
        except ConfigurationError as error:
            reading.refuse(("symbols", symbol), error.rule, error.value, error.remedy)
        except ValidationError as error:
            _refuse_grid(reading, str(symbol), error)
    return found


def _refuse_grid(reading: _Reading, symbol: str, error: ValidationError) -> None:
    source = GridSource(options=GridOptions(), file=reading.file)
    for item in error.errors():
        problem = problem_of(item, source)
        path = ("symbols", symbol, *item["loc"])
        reading.problems.append(
            ConfigurationError(
                field=f"symbols.{symbol}.{problem.field}",
                rule=problem.rule,
                value=problem.value,
                remedy=f"{problem.remedy}, line {reading.line(path)}",
            )
        )


def _check_limits(
    reading: _Reading, symbols: Mapping[str, GridSpec], limits: PortfolioLimits
) -> None:
    """What they come to together, as far as the settings bound it."""
    there: list[Reserving] = []
    for symbol, spec in symbols.items():
        base, _, quote = symbol.partition("/")
        market = Market(symbol=symbol, kind=MarketKind.SPOT, base=base, quote=quote)
        wanted = Reserving(market=market, spec=spec)
        try:
            check_portfolio(wanted, there, limits)
        except ConfigurationError as error:
            path = ("symbols", symbol, error.field)
            reading.refuse(path, error.rule, error.value, error.remedy)
        there.append(wanted)
