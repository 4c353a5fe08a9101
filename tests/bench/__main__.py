"""python -m tests.bench [--quick] [NAME…]: measure beside the peers, print the table, write docs/bench/."""

import argparse
import importlib
import os
import resource
import signal
import sys

from tests.bench import report
from tests.bench.lab import BenchError
from tests.bench.measure import Figure

# The storm last: it takes as long as it is let, and the rows after it would have one round each.
ROWS = ("dns", "dhcp", "tftp", "http", "start", "reload", "storm")


def main() -> None:
    """Run the rows that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"rows to run, of {', '.join(ROWS)}; all of them by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round of each, in three minutes; no figures to quote"
    )
    parser.add_argument("--write", action="store_true", help="write docs/bench/ although only some rows were run")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if os.geteuid() != 0:
        sys.exit("the bench makes network namespaces and pins processes: run it as root")
    # As an operator of a thousand hosts would for each of the servers; ours does it by itself.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The namespaces go away however this ends.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    rounds, seconds = (1, 1.0) if arguments.quick else (5, 1.5)
    is_written = arguments.write or not (arguments.quick or arguments.names)
    figures: list[Figure] = []
    failed = False
    for name in arguments.names or ROWS:
        print(name, flush=True)
        try:
            figures += importlib.import_module(f"tests.bench.{name}").run(rounds=rounds, seconds=seconds)
        except BenchError as error:
            print(f"  {name}: no figures: {error}", flush=True)
            failed = True
        if is_written:
            report.write(figures)  # who stops it keeps the rows that are through
    report.show(figures)
    if is_written:
        print(f"written: {report.write(figures)}, {report.draw(figures)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
