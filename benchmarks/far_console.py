"""The console on a shared store that is far away: python -m benchmarks.far_console [--round-trip MS] [--rounds N]

How long a start takes until the newest job is on the screen, over a line of so many milliseconds and over the same line
without any, in turn; medians, and the median of the differences of pairs. One job of the store runs, as seen at night.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.terminal import Terminal
from engine.domain.requests import OnDuplicate, Operation
from engine.inspection.demo_database import build_demo_database
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.postgres_server import NO_SERVER, PostgresServer, servers_found
from tests.shared_stores import copied_store
from tests.slow_lines import slow_line


@contextmanager
def line(server: Path, directory: Path, delay: float) -> Iterator[None]:
    """A slow line, carried by a thread of its own."""
    opened, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def carry() -> None:
        async with slow_line(server, directory, delay=delay):
            opened.set()
            await end.wait()

    carrying = threading.Thread(target=loop.run_until_complete, args=(carry(),))
    carrying.start()
    opened.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        carrying.join()
        loop.close()


async def submit_a_job(url: str) -> None:
    async with PostgresStore.open(url, what="store") as store, store.hosting_workers() as owner:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert await store.claim(owner)


def seconds_to_first_jobs(url: str, directory: Path, sample: Path) -> float:
    words = [sys.executable, "-m", "tui.cli", "--store", f"{url.partition('?')[0]}?host={directory}", str(sample)]
    environment = {"XDG_CONFIG_HOME": str(directory), "XDG_STATE_HOME": str(directory)}
    with Terminal(words, columns=120, rows=40, environment=environment) as terminal:
        return terminal.read_until("#1")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.far_console",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--round-trip", type=float, default=50, metavar="MS")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    found = servers_found()
    if not found:
        print(NO_SERVER)
        return
    server = PostgresServer(found[max(found)])
    delay = options.round_trip / 2000
    with tempfile.TemporaryDirectory(prefix="dbtend-far-") as base:
        sample = Path(base) / "sales.db"
        build_demo_database(sample)
        directories = {}
        for name in ("near", "far"):
            directories[name] = Path(base) / name
            directories[name].mkdir()
        server.start()
        try:
            socket = server.base / ".s.PGSQL.5432"
            with (
                copied_store(server) as url,
                line(socket, directories["near"], 0),
                line(socket, directories["far"], delay),
            ):
                asyncio.run(submit_a_job(url))
                seconds_to_first_jobs(url, directories["near"], sample)  # bytecode, caches
                pairs = [
                    {name: seconds_to_first_jobs(url, directories[name], sample) for name in order}
                    for order in (("near", "far"), ("far", "near")) * ((options.rounds + 1) // 2)
                ][: options.rounds]
        finally:
            server.discard()
    near, far = (median(pair[name] for pair in pairs) for name in ("near", "far"))
    more = median(pair["far"] - pair["near"] for pair in pairs)
    print(
        f"the newest job is on the screen after {far:.3f} s over {options.round_trip:.0f} ms, {near:.3f} s over 0 ms; "
        f"difference {more:.3f} s, {more / (delay * 2):.1f} round trips; PostgreSQL {max(found)}"
    )


if __name__ == "__main__":
    main()
