"""No test hopes that something has happened after so many seconds: it waits until it has, by `tests/waiting.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SLEEP = re.compile(
    r"""\b(?:\w+_|u)?sleep\((?!0\))|\bpilot\.pause\([0-9]|\"sleep(?:\",)?\ \"?[0-9]
    |\bcall_later\(|\bselect\((?:\[\],\ ?){3}
    |(?:\basyncio\.wait\([^"\n]*\btimeout=|\bwait_for\([^"\n]*,\ |\.wait\((?:timeout=)?)(?!0\))[0-9](?:\.[0-9]+)?\)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Also in a script or in SQL, and in the clothes of a wait that gives up within 10 s: either it hopes that something
happens by then, or that nothing would have happened later. A turn of the event loop, `sleep(0)`, is none."""
HELD = "a statement that lasts until it is cancelled"
MISHAPS = "mishaps at random moments"
AT_WORK = "work that takes a moment, so that a kill finds it under way"
ALLOWED = {
    "chaos/instruments.py": (1, AT_WORK),
    "chaos/shared_storm.py": (8, MISHAPS),
    "chaos/sqlite_kills.py": (2, f"{MISHAPS}, each 2 ms after a beginning that no event tells of"),
    "chaos/storm.py": (2, MISHAPS),
    "chaos/submitter.py": (1, MISHAPS),
    "conformance/test_changes.py": (1, AT_WORK),
    "conformance/test_chaos.py": (2, AT_WORK),
    "engine/notify/test_delivery.py": (1, "a program that is given up"),
    "engine/store/test_writer.py": (1, "the pause of the writer itself, counted"),
    "engine/system/test_wal_reset.py": (1, "looks in C for the file that lets it go on"),
    "engine/targets/mysql/connection/test_connecting.py": (3, HELD),
    "engine/targets/mysql/running/test_monitor.py": (3, f"{HELD}; and looks that end with the statement"),
    "engine/targets/mysql/test_killed.py": (1, HELD),
    "engine/targets/postgres/connection/test_connecting.py": (
        1,
        "a statement that outlasts a limit of its role",
    ),
    "engine/targets/postgres/running/test_statement.py": (3, f"{HELD}; and one whose answer takes a moment"),
    "engine/targets/postgres/test_hostile_servers.py": (1, "looks"),
    "engine/targets/postgres/test_killed.py": (2, HELD),
    "engine/targets/postgres/test_pause_while.py": (1, HELD),
    "engine/targets/postgres/test_snapshot_wait.py": (1, HELD),
    "engine/targets/sqlite/test_waiting.py": (2, "another program, which looks each millisecond"),
    "engine/targets/sqlite/reading/test_read_times.py": (1, "work that takes a moment, until it is stopped"),
    "engine/test_waits.py": (6, "code that is judged, and does not run"),
    "hostile_server.py": (1, "a server that sends byte by byte"),
    "postgres_databases.py": (
        2,
        "looks for what lets it go on; and 0.5 s, as servers before 15 send no counts sooner",
    ),
    "receivers.py": (1, "a server that goes on and on"),
    "slow_lines.py": (1, "a line that is slow"),
    "test_forked_python.py": (1, "a look that finds a process at work"),
    "test_time_limit.py": (1, "a task that ignores its cancel"),
    "tui/commands/test_hostile_servers.py": (1, "who does not end at the first signal gets the second"),
    "tui/workers/test_overwritten_file.py": (1, "a process goes on for a moment, at most 20 times"),
    "waiting.py": (2, "what all others wait by"),
}
"""Sleeps in each file, and why they are no hope."""


def test_no_test_sleeps() -> None:
    numbers = {
        str(path.relative_to(TESTS)): len(SLEEP.findall(path.read_text()))
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
    }
    assert {name: number for name, number in numbers.items() if number} == {
        name: number for name, (number, _) in ALLOWED.items()
    }, "wait by tests.waiting, or for an event"


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("await asyncio.sleep(0.1)", 1),
        ("time.sleep(seconds)", 1),
        ("SELECT pg_sleep(1)", 1),
        ("SELECT SLEEP(1)", 1),
        ("usleep(1000)", 1),
        ("await console.pilot.pause(0.01)", 1),
        ('["sleep", "1"]', 1),
        ('"sleep 1"', 1),
        ("await asyncio.sleep(0)", 0),
        ("await pilot.pause()", 0),
        ("asleep(other)", 0),
        ("await asyncio.wait({task}, timeout=0.01)", 1),
        ("await asyncio.wait_for(event.wait(), 0.01)", 1),
        ("event.wait(2)", 1),
        ("process.wait(timeout=5)", 1),
        ("loop.call_later(0.1, stop.set)", 1),
        ("select.select([], [], [], 0.1)", 1),
        ("await asyncio.wait({task}, timeout=0)", 0),
        ("await asyncio.wait({task}, timeout=10)", 0),
        ("await asyncio.wait_for(event.wait(), 30)", 0),
        ("event.wait()", 0),
    ],
)
def test_what_counts_as_a_sleep(code: str, number: int) -> None:
    assert len(SLEEP.findall(code)) == number
