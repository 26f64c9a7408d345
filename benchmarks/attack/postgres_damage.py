"""Files of a PostgreSQL database that are damaged at random: whatever a check comes upon is a finding that names it.

What was found damaged is then left alone by `run --needed`, or rebuilt.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.attack.calls import called, faults
from benchmarks.attack.directories import attack_directory
from tests.postgres_damage import PAGE, TOAST, TOAST_INDEX, Damage, cut_off, do_damage, make_table, overwrite
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer, servers_found

AT_ONCE: Final = 12
"""Mutants in one database: each is a table of its own."""
RELATIONS: Final = ("'{0}'", "'{0}'", "'{0}_pkey'", "'{0}_pkey'", TOAST, TOAST_INDEX)
_SERVER: Final = ("connection was lost", "another process of the server crashed", "is starting or stopping")
"""What a step may say that found nothing: a damaged page can end the server."""


def attack(count: int, seed: int) -> Iterator[str]:
    dice = random.Random(seed)
    binaries = servers_found()
    server = PostgresServer(binaries[max(binaries)], checksums=False)
    try:
        server.start()
        for begin in range(0, count, AT_ONCE):
            with new_database(server) as database, attack_directory() as home:
                yield from _judged(database, Path(home), dice, min(AT_ONCE, count - begin))
    finally:
        server.discard()


def _judged(database: Database, home: Path, dice: random.Random, mutants: int) -> Iterator[str]:
    database("CREATE EXTENSION amcheck")
    damage: dict[str, Damage] = {}
    told: dict[str, str] = {}
    for number in range(mutants):
        name = f"t{number}"
        make_table(database, name)
        relation = dice.choice(RELATIONS).replace("{0}", name)
        how, harm = _mutation(dice)
        damage[relation], told[name] = harm, f"{relation}: {how}"
    do_damage(database, damage)
    wrong, check = _ran(database, home, "--op", "check")
    wrong += _unnamed(check)
    needed_wrong, needed = _ran(database, home, "--needed")
    damaged = {name for child in check for name in (child["after"] or {}).get("damaged_tables", ())}
    for name, how in told.items():  # the other way round nobody can tell: a value of a row that is another is no damage
        if how.startswith(f"'{name}_pkey'") and f"public.{name}" in damaged:
            wrong.append(f"a table is blamed for its index: {name}")
    for step in (step for child in needed for step in child["steps"]):
        if step["object"] in damaged:
            wrong.append(f"a damaged table is worked on: {step['command']}")
    for one in (*wrong, *needed_wrong):
        yield f"{one} (of {told})"


def _ran(database: Database, home: Path, *words: str) -> tuple[list[str], list[dict[str, Any]]]:
    """What is wrong with a run, and its children."""
    argv = ("run", database.url, *words, "--json")
    said = called(argv, home)
    database.reconnect()  # the server may have crashed
    wrong = faults(argv, said)
    try:
        jobs = json.loads(said.out).get("jobs", [])
    except ValueError:
        return [*wrong, f"no JSON: {said.out[:200]!r} {said.err[:500]!r}"], []
    return wrong, [child for job in jobs for child in job["children"]]


def _unnamed(children: list[dict[str, Any]]) -> Iterator[str]:
    """What failed and is no finding, and findings that name nothing."""
    for child in children:
        for finding in child["findings"]:
            name = finding.partition(":")[0].removeprefix("TOAST of ")
            if not name.startswith(("public.t", "pg_toast.pg_toast_")):
                yield f"a finding that names nothing: {finding}"
        for step in child["steps"]:
            found = (step.get("effect") or {}).get("findings")
            is_of_server = any(words in str(step["error"]) for words in _SERVER)
            if step["status"] == "failed" and not found and not is_of_server:
                yield f"it failed, and is no finding: {step['object']}: {step['error']}"


def _mutation(dice: random.Random) -> tuple[str, Damage]:
    page, at, length = dice.randrange(12), dice.randrange(PAGE - 24), dice.choice((1, 4, 30, 300, 3000))
    junk = dice.choice((bytes([dice.randrange(256)]) * length, dice.randbytes(length), bytes(length)))
    mutations: list[tuple[str, Callable[[], Damage]]] = [
        (f"{length} bytes at {at} of page {page}", lambda: overwrite(page * PAGE + at, junk)),
        (f"{length} bytes in the header of page {page}", lambda: overwrite(page * PAGE + dice.randrange(24), junk)),
        (f"row pointers of page {page}", lambda: overwrite(page * PAGE + 24 + 4 * dice.randrange(40), junk[:40])),
        (f"page {page} is zero", lambda: overwrite(page * PAGE, bytes(PAGE))),
        (f"cut off after {page + 1} pages", lambda: cut_off(page + 1)),
    ]
    how, make = dice.choice(mutations)
    return how, make()
