"""Whether databases survive that their maintenance is killed, as often as you like: python -m benchmarks.kill_sqlite

Every operation, in DELETE and in WAL mode, runs in a real process on a fresh database; at a random moment that process
is killed by SIGKILL. What it leaves must be sound and have the same content, before anybody rescues it and after
another process has brought the operation to its end; nothing else may lie beside it; and the store must be consistent.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.sqlite_kills import KINDS, Toll, kill_at_random

KILLED_TWICE = 0.15
"""The share of jobs whose second attempt is killed, too."""


def main() -> None:
    """Ends with exit code 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=170, help="of operations that were hit in the middle")
    parser.add_argument("--rows", type=int, default=60_000, help="of the larger table; 20,000 rows make 7 MB")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    print(f"{options.kills} kills, {options.rows:,} rows, seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as name:
        directory = Path(name)
        toll = asyncio.run(
            kill_at_random(
                directory,
                seed=options.seed,
                kills=options.kills,
                rows=options.rows,
                killed_twice=KILLED_TWICE,
                told=_tell_progress,
            )
        )
        output = (directory / "output").read_text()
    print(f"\r{toll.kills.total():7,} kills in the middle of an operation, {toll.too_late:,} came too late")
    for operation, mode in KINDS:
        print(f"{toll.kills[operation, mode]:7,} of {operation} in {mode} mode")
    for suffix, count in sorted(toll.left.items()):
        print(f"{count:7,} times {suffix or 'the database'} was there after the kill")
    print(f"{toll.taken_over:7,} jobs brought to their end by another process, {toll.lost_twice:,} killed twice")
    print(f"{len(toll.findings):7,} findings")
    for finding in toll.findings:
        print(finding)
    if toll.findings:
        print(output)
        sys.exit(1)


def _tell_progress(toll: Toll) -> None:
    print(f"\r{toll.kills.total():7,} kills", end="", flush=True)


if __name__ == "__main__":
    main()
