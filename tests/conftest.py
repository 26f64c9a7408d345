"""What holds for all tests."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import HealthCheck, settings

from engine.store.sqlite.connections import connect_writer, create_file
from tests import server_templates
from tests.postgres_databases import Database, new_database
from tests.postgres_server import NO_SERVER, PostgresServer, every_server, majors, running_server
from tests.scratch import make_scratch

# With it a process never has output left that it cannot write any more, as it has everywhere else.
os.environ.pop("PYTHONUNBUFFERED", None)
# Without bytecode every process of a test compiles all that it imports, and each worker of pytest rewrites all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell that runs this in the background has it ignore Ctrl-C, and the processes of tests would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same with nohup and a lost terminal.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# What the user says to libpq is for the user's servers.
for name in [name for name in os.environ if name.startswith("PG") and not name.startswith("PGTEST_")]:
    del os.environ[name]

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("dbtend", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dbtend")

SCRATCH = make_scratch()
CLEANED_UP_WITHIN = 300.0
"""Seconds that a test has to clean up after it has failed; then its process ends."""
tempfile.tempdir = str(SCRATCH)
os.environ.setdefault(server_templates.PLACE, str(SCRATCH))  # that of the first process, for all

TESTS = Path(__file__).parent
FAST = tuple(
    TESTS / room
    for room in (
        *("engine/domain", "engine/submission", "engine/history", "engine/config", "engine/store", "tui/presentation"),
        *(f"engine/targets/{engine}/{room}" for engine in ("sqlite", "postgres") for room in ("planning", "advising")),
        *("engine/targets/sqlite/reading", "engine/targets/sqlite/connection", "test_invariants.py"),
    )
)
"""Rooms of pure functions and of small files."""


def pytest_configure(config: pytest.Config) -> None:
    """Not the numbered directories of pytest: a session that ends may remove that of another one."""
    config.option.basetemp = config.option.basetemp or SCRATCH / "pytest"


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker of a whole run imports its share of the tests first: what one has rewritten, the others only read."""
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not config.ArgsSource.TESTPATHS:
        return
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for path in sorted(TESTS.rglob("test_*.py"))[number::count]:
        # What cannot be imported is told when it is collected.
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


_cleaning_up: list[threading.Timer] = []


def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """A test that hung is failed by its time limit, but what it leaves may hang, too: a task that ignores a cancel."""
    if not isinstance(node, pytest.Item) or node.config.option.usepdb:
        return
    pytest_runtest_logfinish()
    limit = threading.Timer(CLEANED_UP_WITHIN, _end, [node])
    limit.daemon = True
    limit.start()
    _cleaning_up.append(limit)


def pytest_runtest_logfinish() -> None:
    while _cleaning_up:
        _cleaning_up.pop().cancel()


def _end(node: pytest.Item) -> None:
    errors = node.config.stash[fault_handler_stderr_fd_key]
    os.write(errors, f"\n{node.nodeid} failed, and its cleanup hangs\n".encode())
    faulthandler.dump_traceback(errors)
    os._exit(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        needs_server = "postgres" in getattr(item, "fixturenames", ())
        if not needs_server and _is_in_a_fast_room(item.path):
            item.add_marker(pytest.mark.fast)


@cache
def _is_in_a_fast_room(path: Path) -> bool:
    return any(path.is_relative_to(room) for room in FAST)


def pytest_collection_finish() -> None:
    """What was imported and collected stays. Looking through it again and again is a fifth of the time of screens."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied."""
    path = create_file(tmp_path_factory.mktemp("store") / "jobs.db")
    connect_writer(path).close()
    return path


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[int | None], PostgresServer]]:
    """Gives one server of each major version to all tests of this process."""
    with ExitStack() as running:

        @cache
        def server(major: int | None) -> PostgresServer:
            if major is None:
                (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_SERVER)
            return running.enter_context(running_server(every_server()[major]))

        yield server


@pytest.fixture(scope="session", params=majors(), ids=lambda major: f"pg{major}")
def postgres(request: pytest.FixtureRequest, servers: Callable[[int | None], PostgresServer]) -> PostgresServer:
    """A server for all tests of this process; each has databases of its own."""
    return servers(request.param)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """An empty database on it."""
    with new_database(postgres) as made:
        yield made


@pytest.fixture
def systemd_analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("systemd-analyze is not installed")
    return program
