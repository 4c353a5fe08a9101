"""Compare the appliance with other servers: run each in turn, print a table, write docs/bench/."""

import argparse
import importlib
import os
import resource
import signal
import sys

from tests.bench import report
from tests.bench.lab import BenchError
from tests.bench.measure import Figure
from tests.packages import packages, why_missing

# The storm is last: it uses up whatever time is left, and rows after it would get one round each.
ROWS = ("dns", "dhcp", "tftp", "http", "start", "reload", "storm")


def main() -> None:
    """Run the rows that are named on the command line, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows to run: {', '.join(ROWS)}; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="one short round of each row, in three minutes; not for quoting"
    )
    parser.add_argument("--write", action="store_true", help="write docs/bench/ even if only some rows ran")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ROWS)
    if unknown:
        parser.error(f"unknown row {', '.join(sorted(unknown))}; valid rows: {', '.join(ROWS)}")
    if os.geteuid() != 0:
        sys.exit("run the bench as root: it makes network namespaces")
    # An operator with a thousand hosts raises this limit for the peers too; the appliance raises its own.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # SIGTERM becomes an exception, so that the namespaces are removed on the way out.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    rounds, seconds = (1, 1.0) if arguments.quick else (5, 1.5)
    is_written = arguments.write or not (arguments.quick or arguments.names)
    figures: list[Figure] = []
    absent = [reason for program in _programs() if (reason := why_missing(program))]
    for reason in absent:
        print(f"{reason}: there are no figures for what needs it", flush=True)
    failed = bool(absent)
    for name in arguments.names or ROWS:
        print(name, flush=True)
        try:
            figures += importlib.import_module(f"tests.bench.{name}").run(rounds=rounds, seconds=seconds)
        except BenchError as error:
            print(f"  {name}: no figures: {error}", flush=True)
            failed = True
        if is_written:
            report.write(figures)  # after each row, so that an interrupted run keeps the finished ones
    report.show(figures)
    if is_written:
        print(f"written: {report.write(figures)}, {report.draw(figures)}")
    sys.exit(failed)


def _programs() -> list[str]:
    """Return every program that tests/packages.txt lists for the bench."""
    return [name for package in packages() if "bench" in package.targets for name in package.brings if "/" not in name]


if __name__ == "__main__":
    main()
