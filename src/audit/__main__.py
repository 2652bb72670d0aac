"""`python -m audit --dsn DSN --simulator DIR`: compare once; exit 0 only if all is well."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from audit.auditor import SETTLE_S, audit
from audit.simulator import SimulatorAccess


def main() -> int:
    options = _options()
    report = asyncio.run(
        audit(
            options.dsn,
            SimulatorAccess(options.simulator, options.account),
            settle_s=options.settle_s,
            acknowledged=options.acknowledged,
            freeze=options.freeze,
            measures_kills=options.measures_kills,
        )
    )
    text = json.dumps(report.to_json(), indent=2) if options.o == "json" else report.to_text()
    sys.stdout.write(f"{text}\n")
    return 0 if report.ok else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--dsn", required=True, help="the database of the installation")
    parser.add_argument("--simulator", type=Path, required=True, help="its data directory")
    parser.add_argument("--account", help="the simulator's name of the account, if it has several")
    parser.add_argument("--settle-s", type=float, default=SETTLE_S, help="longest wait for fills")
    parser.add_argument(
        "--acknowledged", action="append", default=[], metavar="ID", help="a request's workflow id"
    )
    parser.add_argument("--freeze", action="store_true", help="hold the markets still meanwhile")
    parser.add_argument(
        "--measures-kills",
        action="store_true",
        help="judge what followed each kill: the exchange always answered",
    )
    parser.add_argument("-o", choices=("text", "json"), default="text", help="form of the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
