"""What the first line of the main screen says, as a plain function."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine import (
    Advice,
    EngineName,
    JobId,
    Level,
    Operation,
    ParentJob,
    Pause,
    Request,
    Status,
    TargetInfo,
    WorkerProcess,
)
from engine.config.model import TargetEntry
from engine.domain.errors import TargetUnavailableError
from engine.domain.steps import Facts
from tests.tui.jobs import child, parent
from tui.console.views.header import header_line, work
from tui.console.views.line import Role
from tui.console.views.lists import TargetState

FACTS: Facts = {"size": 528_384, "journal_mode": "delete", "free_pages": 37, "pages": 129}
INFO = TargetInfo(url="sqlite:///srv/sales.db", engine=EngineName.SQLITE, version="3.46.0", facts=FACTS, operations=())
RUNNING = parent(child(status=Status.RUNNING), child(2, Status.PENDING))
WAITING = replace(parent(child(status=Status.PENDING)), id=43)
ON_DB1 = replace(WAITING, request=Request(target="sqlite://db1/srv/sales.db", operations=(Operation.VACUUM,)))
ON_DB2 = replace(WAITING, request=Request(target="sqlite://db2/srv/sales.db", operations=(Operation.VACUUM,)))
ON_DB3 = replace(WAITING, request=Request(target="sqlite://db3/srv/sales.db", operations=(Operation.VACUUM,)))
WORKER = WorkerProcess(id="a", pid=1, host="db1", started_at=0, serves_all=True, alive=True)
STALLED = WorkerProcess(id="b", pid=2, host="db1", started_at=0, serves_all=True, alive=True, stalled=True)
OWN_ONLY = WorkerProcess(id="c", pid=3, host="db1", started_at=0, serves_all=False, alive=True, running=(JobId(42, 1),))
DEAD = WorkerProcess(id="d", pid=4, host="db1", started_at=0, serves_all=True, alive=False)
PAUSE = Pause(at=0, by="dba@desk")


def state(name: str = "sales.db", label: str | None = None) -> TargetState:
    return TargetState(TargetEntry(name=name, url="/srv/sales.db", label=label), INFO)


@pytest.mark.parametrize(
    ("jobs", "workers", "pause", "words", "role"),
    [
        ([], [], None, "nothing running", Role.DIM),
        ([], [], PAUSE, "paused", Role.WARNING),
        ([RUNNING], [WORKER], None, "worker up, 1 running", Role.RUNNING),
        ([RUNNING, WAITING], [WORKER], PAUSE, "paused, 1 running, 1 waiting", Role.WARNING),
        ([RUNNING], [STALLED], None, "worker stalled, 1 running", Role.WARNING),
        ([RUNNING], [STALLED, WORKER, DEAD], None, "1 of 2 workers stalled, 1 running", Role.WARNING),
        ([WAITING], [], None, "no worker, 1 waiting", Role.WARNING),
        ([WAITING], [DEAD], None, "no worker, 1 waiting", Role.WARNING),
        ([WAITING], [], PAUSE, "paused, 1 waiting", Role.WARNING),
        ([RUNNING], [OWN_ONLY], None, "worker up, 1 running", Role.RUNNING),
        ([RUNNING, WAITING], [OWN_ONLY], None, "no worker, 1 running, 1 waiting", Role.WARNING),
    ],
)
def test_the_workers_at_a_glance(
    jobs: list[ParentJob],
    workers: list[WorkerProcess],
    pause: Pause | None,
    words: str,
    role: Role,
) -> None:
    assert work(jobs, workers, pause) == (words, role)


@pytest.mark.parametrize(
    ("jobs", "workers", "words"),
    [
        ([ON_DB2], [], "no worker on db2, 1 waiting"),
        ([ON_DB2], [WORKER], "no worker on db2, 1 waiting"),
        ([ON_DB2, ON_DB2, ON_DB3], [WORKER], "no worker on 2 hosts, 3 waiting"),
        ([ON_DB2], [replace(WORKER, host="db2")], "worker up, 1 waiting"),
        ([ON_DB2, ON_DB1], [], "no worker, 2 waiting"),
    ],
)
def test_a_job_of_another_host_lacks_a_worker_there(
    jobs: list[ParentJob], workers: list[WorkerProcess], words: str
) -> None:
    assert work(jobs, workers, None, "db1") == (words, Role.RUNNING if words.startswith("worker up") else Role.WARNING)


@pytest.mark.parametrize(
    ("width", "left"),
    [
        (110, " dbtend  sales.db [PROD]  sqlite 3.46.0  528 kB  journal delete  29% empty"),
        (100, " dbtend  sales.db [PROD]  528 kB  journal delete  29% empty"),
        (80, " dbtend  sales.db [PROD]  528 kB  29% empty"),
        (70, " dbtend  sales.db [PROD]  528 kB"),
        (60, " dbtend  sales.db [PROD]"),
        (50, " sales.db [PROD]"),
    ],
)
def test_whole_parts_give_way_the_least_telling_first(width: int, left: str) -> None:
    shown = header_line(state(label="PROD"), work([RUNNING], [WORKER], None), width).text
    assert shown == left.ljust(width - 21) + "worker up, 1 running "


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_header_is_exactly_as_wide_as_the_screen(width: int) -> None:
    said = work([RUNNING, WAITING], [STALLED, WORKER], PAUSE)
    shown = header_line(state("日本語\x1b" * 30, "PROD"), said, width).text
    assert cell_len(shown) == width
    assert shown.endswith("paused, 1 of 2 workers stalled, 1 running, 1 waiting ")
    assert "\x1b" not in shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_that_it_is_read_only_is_said_at_every_width(width: int) -> None:
    shown = header_line(state("a" * 100), work([RUNNING], [WORKER], None), width, read_only=True)
    assert cell_len(shown.text) == width
    assert shown.text.endswith("  read-only  worker up, 1 running ")
    assert ("read-only", Role.WARNING) in shown.spans


@pytest.mark.parametrize("width", range(60, 140, 5))
def test_nothing_at_the_left_moves_as_jobs_begin_and_end(width: int) -> None:
    several = [RUNNING, RUNNING, *[WAITING] * 9]
    said = [work(jobs, [WORKER], None) for jobs in ([], [RUNNING], [RUNNING, WAITING], several)]
    lefts = {header_line(state(label="PROD"), one, width).text.removesuffix(f"{one[0]} ").rstrip() for one in said}
    assert len(lefts) == 1


def test_what_was_known_of_a_database_stays_while_it_cannot_be_opened() -> None:
    gone = replace(state(), info=None, last_info=INFO, error=TargetUnavailableError("sales.db", "no answer in 5 s"))
    idle = work([], [], None)
    shown = [header_line(gone, idle, width).text.removesuffix("nothing running ").rstrip() for width in (120, 80, 55)]
    assert shown == [
        " dbtend  sales.db  last seen:  sqlite 3.46.0  528 kB  journal delete  29% empty",
        " dbtend  sales.db  last seen:  528 kB",
        " dbtend  sales.db",
    ]


def test_how_much_is_wasted_is_said_in_place_of_what_is_free_once_all_was_looked_at() -> None:
    facts: Facts = {"size": 1000, "free_bytes": 110, "unused": 300, "reclaimable_bytes": 390}
    vacuum = Advice(operation=Operation.VACUUM, level=Level.SOON, reason="about 39% of the file is wasted", facts=facts)

    def shown(advice: Advice) -> str:
        return header_line(replace(state(), advice=(advice,)), work([], [], None), 120).text

    assert "39% reclaimable" in shown(vacuum)
    assert "empty" not in shown(vacuum)
    not_all = replace(vacuum, facts={**facts, "unused": None, "reclaimable_bytes": 110})
    assert "29% empty" in shown(not_all)
