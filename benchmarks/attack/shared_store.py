"""Workers of a shared store on three hosts, made of network namespaces, while everything fails at random."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from benchmarks.attack.directories import attack_directory
from tests.chaos.shared_storm import SharedStorm, rage
from tests.network_hosts import why_no_hosts
from tests.postgres_server import servers_found

EACH = 100
"""Mishaps in one storm."""


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: mishaps. Some last long: a hundred take about a minute."""
    found = servers_found()
    if why := why_no_hosts() or ("" if found else "there is no PostgreSQL server"):
        print(f"  not done: {why}", flush=True)
        return
    for number, begun in enumerate(range(0, count, EACH)):
        with attack_directory() as directory:
            storm = SharedStorm(seed=seed + number, mishaps=min(EACH, count - begun))
            aftermath = asyncio.run(rage(storm, found[max(found)], Path(directory)))
        print(f"  seed {storm.seed}: {dict(aftermath.counts)}", flush=True)
        for finding in aftermath.findings:
            yield f"seed {storm.seed}: {finding.kind}: {finding.what}"
        if "Traceback" in aftermath.output:
            yield f"seed {storm.seed}: {aftermath.output[-3000:]}"
