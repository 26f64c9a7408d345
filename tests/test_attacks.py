"""A short form of the attacks in benchmarks/attack, with mutants that are the same every time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.targets.mysql.connection.server import Flavor
from tests import mysql_server
from tests.postgres_server import NO_SERVER, servers_found
from tests.two_users import needs_root

pytestmark = pytest.mark.long


def mutants(attack: str, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.attack", attack, "--count", str(count), "--seed", "17"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize(
    ("attack", "count"),
    [
        ("databases", 6),
        ("database-runs", 2),
        ("stores", 2),
        ("command-lines", 20),
        ("configs", 6),
        pytest.param("owners", 40, marks=needs_root),
        ("limits", 6),
        ("rowids", 8),
        ("schemas", 6),
        ("batches", 2),
        ("schedules", 4),
        ("notifications", 4),
        ("metrics", 20),
        ("exchanges", 2),
        ("exchange-kills", 8),
        ("foreign", 2),
    ],
)
def test_mutants_are_met_with_plain_sentences(attack: str, count: int) -> None:
    said = mutants(attack, count)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout
    assert said.stdout.rstrip().endswith(": 0 findings")


def test_damage_in_the_files_of_a_server_is_found_and_left_alone() -> None:
    if not servers_found():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_SERVER)
    said = mutants("postgres-damage", 12)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout


def test_no_role_of_a_shared_store_gets_more_rights() -> None:
    if not servers_found():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_SERVER)
    said = mutants("roles-and-grants", 300)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout


def test_workers_that_are_killed_leave_nothing_on_mariadb_and_mysql() -> None:
    if not mysql_server.servers_found():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(mysql_server.NO_SERVER[Flavor.MARIADB])
    said = mutants("mysql-kills", 2)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout


def test_a_server_that_goes_away_in_the_middle_leaves_nothing_that_is_not_told() -> None:
    if not servers_found():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_SERVER)
    said = mutants("server-outages", 4)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout
