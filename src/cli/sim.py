"""`gridkeeper sim`: a simulated exchange in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from cli.context import load, quiet_logs
from cli.session import session_of
from domain.errors import ConfigurationError
from simulator.config import ConfigurationError as SimulatorConfigurationError
from simulator.config import ReplayConfig, SimulatorConfig, load_config
from simulator.server import SimulatorAddress, serve

app = typer.Typer()

_BP = Decimal(10_000)


@app.command()
def sim(
    context: typer.Context,
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="Its ledger and address; where nodes look if not given.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with symbols, accounts, replay and limits.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Free, or as before, if not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the synthetic market.")] = None,
    replay: Annotated[
        list[Path] | None, typer.Option(help="Recording or directory to replay; repeatable.")
    ] = None,
    speed: Annotated[
        str | None, typer.Option(metavar="FACTOR", help="Of the replay; 1 is real time.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Trade only this one, such as BTC/USDT; repeatable.")
    ] = None,
    fee_bp: Annotated[
        str | None, typer.Option(metavar="BP", help="Maker and taker fee of every symbol.")
    ] = None,
) -> None:
    """Run an exchange that speaks Binance's protocol over TLS on this machine."""
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    directory = data_dir or settings.simulator_dir
    try:
        chosen = (
            SimulatorConfig(directory)
            if config is None
            else load_config(config, data_dir=directory)
        )
        if port is not None:
            chosen = replace(chosen, port=port)
        if seed is not None:
            chosen = replace(chosen, seed=seed)
        chosen = _with_symbols(chosen, symbol)
        chosen = _with_fee(chosen, fee_bp)
        chosen = _with_replay(chosen, replay, speed)
    except SimulatorConfigurationError as error:
        raise _invalid("simulator", str(error)) from None
    asyncio.run(_run(chosen))


async def _run(config: SimulatorConfig) -> None:
    server = asyncio.ensure_future(serve(config, ready=_announce))
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(stop, server.cancel)
    with suppress(asyncio.CancelledError):
        await server


def _announce(address: SimulatorAddress) -> None:
    typer.echo(
        f"exchange  https://{address.host}:{address.port}\n"
        f"control   http://{address.host}:{address.control_port}"
    )


def _with_symbols(config: SimulatorConfig, names: list[str] | None) -> SimulatorConfig:
    if not names:
        return config
    known = {f"{symbol.base}/{symbol.quote}": symbol for symbol in config.symbols}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise _invalid("--symbol", f"{', '.join(unknown)}; known are {', '.join(known)}")
    return replace(config, symbols=tuple(known[name] for name in names))


def _with_fee(config: SimulatorConfig, fee_bp: str | None) -> SimulatorConfig:
    if fee_bp is None:
        return config
    fee = _decimal("--fee-bp", fee_bp) / _BP
    return replace(
        config,
        symbols=tuple(replace(symbol, maker_fee=fee, taker_fee=fee) for symbol in config.symbols),
    )


def _with_replay(
    config: SimulatorConfig, paths: list[Path] | None, speed: str | None
) -> SimulatorConfig:
    if paths:
        config = replace(config, replay=ReplayConfig(paths=tuple(paths)))
    if speed is None:
        return config
    if config.replay is None:
        raise _invalid("--speed", f"{speed} without --replay")
    return replace(config, replay=replace(config.replay, speed=_decimal("--speed", speed)))


def _decimal(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise _invalid(option, text)
    return value


def _invalid(field: str, value: str) -> ConfigurationError:
    return ConfigurationError(
        field=field,
        rule="must describe an exchange that can be simulated",
        value=value,
        remedy="see `gridkeeper sim --help`",
    )
