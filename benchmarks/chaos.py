"""Whether jobs survive what happens to their processes, for as long as you like: python -m benchmarks.chaos

Hosts, worker pools, submitters and consoles, all of them real processes, work on one store and several databases. At
random one of them is killed (80 %) or stopped for a moment (20 %), and replaced. After that one healthy process brings
everything to its end, and a checker looks at the store, at the databases, and at what each process noted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.checker import Kind
from tests.chaos.instruments import Plant
from tests.chaos.storm import Storm, rage

TOLD = 20
"""Findings that are told one by one."""


def main() -> None:
    """Ends with exit code 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument(
        "--plant", type=Plant, action="append", default=[], help="a bug: liar (the living are declared dead), unfenced"
    )
    options = parser.parse_args()
    print(f"{options.seconds:.0f} s, seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        storm = Storm(seconds=options.seconds, seed=options.seed, plants=tuple(options.plant))
        aftermath = asyncio.run(rage(storm, Path(directory)))
    found = Counter(finding.kind for finding in aftermath.findings)
    for what, count in (*aftermath.counts.items(), *((kind.value, found[kind]) for kind in Kind)):
        print(f"{count:7,} {what}")
    for finding in aftermath.findings[:TOLD]:
        print(f"{finding.kind}: {finding.what}")
    if aftermath.findings:
        sys.exit(1)


if __name__ == "__main__":
    main()
