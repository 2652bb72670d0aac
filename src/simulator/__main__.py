"""`python -m simulator --data-dir DIR`: run an exchange until interrupted."""

import argparse
import asyncio
import contextlib
import signal
import sys
from dataclasses import replace
from pathlib import Path

from simulator.config import ConfigurationError, ReplayConfig, SimulatorConfig, load_config
from simulator.server import SimulatorAddress, serve


def main() -> int:
    options = _options()
    try:
        config = _configuration(options)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    asyncio.run(_run(config))
    return 0


async def _run(config: SimulatorConfig) -> None:
    server = asyncio.ensure_future(serve(config, ready=_announce))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.cancel)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, server.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await server


def _announce(address: SimulatorAddress) -> None:
    sys.stdout.write(
        f"trading https://{address.host}:{address.port} "
        f"control http://{address.host}:{address.control_port}\n"
    )
    sys.stdout.flush()


def _configuration(options: argparse.Namespace) -> SimulatorConfig:
    data_dir: Path = options.data_dir
    if options.config is None:
        config = SimulatorConfig(data_dir=data_dir)
    else:
        config = load_config(options.config, data_dir=data_dir)
    if options.port is not None:
        config = replace(config, port=options.port)
    if options.seed is not None:
        config = replace(config, seed=options.seed)
    if options.replay:
        config = replace(config, replay=ReplayConfig(paths=tuple(options.replay)))
    if options.fsync:
        config = replace(config, fsync=True)
    return config


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="ledger and address file")
    parser.add_argument("--config", type=Path, help="TOML file; built-in defaults otherwise")
    parser.add_argument("--port", type=int, help="trading port (default: free, or as before)")
    parser.add_argument("--seed", type=int, help="seed of the synthetic market")
    parser.add_argument("--replay", type=Path, action="append", help="recording or directory")
    parser.add_argument("--fsync", action="store_true", help="fsync the ledger on every write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
