"""The history of the console with a million jobs, in a terminal of 80x24: python -m benchmarks.history [--store PATH]

Beside a minimal Textual app (benchmarks/minimal_app.py) in the same run. Without a store one is made for it
(benchmarks/big_store.py), which takes a minute or two. Medians of the rounds; each round is a console of its own.

An answer to a filter is timed from the last key until the screen says how many jobs match, which it does together
with the first rows of them.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from benchmarks import big_store
from benchmarks.console import MINIMAL
from benchmarks.terminal import ESCAPES, Terminal

FILTERS: Final = {
    "status": "status:failed",
    "target": "target:sales_16",
    "operation": "op:fts-optimize",
    "date": "until:2024-03-01",
    "error text": "disk full",
    "an error that never was": "nowhere to be found",
    "target, status and operation": "target:sales status:failed op:vacuum",
}
"""What is typed; an answer is there when the border of the list says how many there are of it, at least so far."""
DOWN, PAGE_DOWN, PAGE_UP, END, ESCAPE = b"\x1b[B", b"\x1b[6~", b"\x1b[5~", b"G", b"\x1b"

Figures = dict[str, list[float]]


def seconds_to(terminal: Terminal, keys: bytes, expected: str, timeout: float = 20) -> float:
    """From the last of these keys until something was written that `expected`, a pattern, is found in."""
    if keys[:-1]:
        terminal.send(keys[:-1])
        terminal.read_until_quiet(0.4)
    before = len(terminal.output)
    begin = time.perf_counter()
    terminal.send(keys[-1:])
    while not re.search(expected.encode(), ESCAPES.sub(b"", bytes(terminal.output[before:]))):
        if time.perf_counter() - begin > timeout:
            raise TimeoutError(f"no {expected!r} after {keys!r}: {bytes(terminal.output[before:])!r}")
        terminal.seconds_to_first_byte(1)
    return time.perf_counter() - begin


def first_byte(terminal: Terminal, keys: bytes) -> float:
    terminal.send(keys)
    delay = terminal.seconds_to_first_byte()
    terminal.read_until_quiet(0.15)
    return delay


def measure(store: Path, figures: Figures) -> None:
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store)]) as terminal:
        figures["main screen, with 50 jobs"].append(terminal.read_until("► #"))
        terminal.read_until_quiet()
        figures["MiB, main screen"].append(terminal.resident_mebibytes())
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store)]) as terminal:
        terminal.read_until("history")
        terminal.send(b"h")  # before anything else is asked for
        figures["start to first rows of the history"].append(terminal.read_until("/ filter"))
        terminal.read_until_quiet(1)
        figures["MiB, history open"].append(terminal.resident_mebibytes())
        for _ in range(5):
            figures["key to first byte, down"].append(first_byte(terminal, DOWN))
        for key in (PAGE_DOWN, PAGE_UP) * 3:
            figures["key to first byte, page down and up"].append(first_byte(terminal, key))
        figures["end: the oldest job is shown"].append(seconds_to(terminal, END, "#1 "))
        terminal.read_until_quiet(0.5)
        for name, typed in FILTERS.items():
            terminal.send(b"/")
            terminal.read_until_quiet(0.3)
            figures[f"filter by {name}"].append(
                seconds_to(terminal, typed.encode(), f"(jobs|batches)( so far)?  {typed}")
            )
            terminal.read_until_quiet(1)
            terminal.send(ESCAPE)
            terminal.read_until_quiet(1)
        terminal.send(b"/")
        terminal.read_until_quiet(0.3)
        for letter in "disk full":
            figures["key to first byte, typing a filter"].append(first_byte(terminal, letter.encode()))
        terminal.send(ESCAPE)
        terminal.read_until_quiet(1)
        figures["MiB, at the end of all this"].append(terminal.resident_mebibytes())


def measure_minimal(figures: Figures) -> None:
    with Terminal(MINIMAL) as terminal:
        figures["minimal app: first rows"].append(terminal.read_until("database 0"))
        terminal.read_until_quiet()
        figures["minimal app: MiB"].append(terminal.resident_mebibytes())
        for _ in range(5):
            figures["minimal app: key to first byte, down"].append(first_byte(terminal, DOWN))
        for key in (PAGE_DOWN, PAGE_UP) * 3:
            figures["minimal app: key to first byte, page down and up"].append(first_byte(terminal, key))


def report(figures: Figures) -> None:
    for name, values in figures.items():
        unit, factor = ("MiB", 1.0) if "MiB" in name else ("ms ", 1e3)
        ordered = sorted(value * factor for value in values)
        middle = statistics.median(ordered)
        print(f"{name:52}{middle:9.1f} {unit}  [{ordered[0]:.1f} to {ordered[-1]:.1f}, n {len(ordered)}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", type=Path, help="one that benchmarks.big_store has made")
    parser.add_argument("--parents", type=int, default=big_store.PARENTS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        store = options.store or Path(directory) / "big.db"
        if not store.exists():
            big_store.build(store, options.parents)
        for _ in range(options.rounds):
            measure_minimal(figures)
            measure(store, figures)
    print(f"80x24, median of {options.rounds} rounds:")
    report(figures)


if __name__ == "__main__":
    main()
