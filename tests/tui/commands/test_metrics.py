"""`dbtend metrics`, and those that a worker serves: read by the client library of Prometheus itself."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine import Engine, EngineName
from engine.config.model import Config, TargetEntry
from engine.domain.claims import Outcome, Report
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from engine.domain.statuses import Reason, Status
from engine.domain.surveys import FleetLevel, Survey
from engine.fleet.expansion import expand
from engine.store.protocol import NewBatch
from engine.system.clock import now
from tests.building import new_job
from tests.sqlite_files import make_database, remove_index_entries
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until
from tui.commands import metrics
from tui.presentation.exit_codes import FAILED, OK, USAGE

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, metric: str, /, **labels: str) -> float | None:
    """Of the one sample with this name and, among others, these labels."""
    found = [v for (known, having), v in samples(text).items() if known == metric and set(labels.items()) <= having]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_an_empty_store_has_metrics_and_is_not_made(dbtend: CommandLine) -> None:
    done = dbtend("metrics")
    assert done.code == OK
    assert value(done.out, "dbtend_jobs_open", status="pending") == 0
    assert value(done.out, "dbtend_targets", level="critical") == 0
    assert not dbtend.store.exists()


def test_every_name_begins_alike(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "analyze")
    dbtend("fleet", sales)
    assert {name.partition("_")[0] for name, _ in samples(dbtend("metrics").out)} == {"dbtend"}


def test_targets_operations_and_their_ages(dbtend: CommandLine, sales: Path) -> None:
    missing = sales.with_name("missing.db")
    assert dbtend("run", sales, missing, "--op", "check", "--op", "analyze").code == FAILED
    dbtend("fleet", sales, missing)
    text = dbtend("metrics").out
    assert value(text, "dbtend_target_size_bytes", name="sales.db") == sales.stat().st_size
    assert value(text, "dbtend_target_level", name="missing.db", level="unreachable") == 1
    assert value(text, "dbtend_targets", level="unreachable") == 1
    assert value(text, "dbtend_operation_last_outcome", name="sales.db", operation="analyze", outcome="completed") == 1
    assert value(text, "dbtend_operation_last_outcome", name="missing.db", operation="check", outcome="failed") == 1
    took = value(text, "dbtend_operation_last_duration_seconds", name="sales.db", operation="analyze")
    assert took is not None
    assert took > 0
    assert value(text, "dbtend_operation_last_duration_seconds", name="missing.db", operation="check") is None
    ended = value(text, "dbtend_operation_last_completed_timestamp_seconds", name="sales.db", operation="check")
    checked = value(text, "dbtend_target_checked_timestamp_seconds", name="sales.db")
    assert ended == pytest.approx(checked)
    age = value(text, "dbtend_target_survey_age_seconds", name="sales.db")
    assert age is not None
    assert 0 <= age < 600


def test_figures_of_a_database_that_cannot_be_inspected_any_more_have_their_own_time(
    dbtend: CommandLine, sales: Path
) -> None:
    dbtend("fleet", sales)
    first = dbtend("metrics").out
    figures = value(first, "dbtend_target_figures_timestamp_seconds", name="sales.db")
    assert figures is not None
    assert figures == value(first, "dbtend_target_surveyed_timestamp_seconds", name="sales.db")
    sales.rename(sales.with_name("away.db"))
    dbtend("fleet", sales, sales.with_name("missing.db"))
    text = dbtend("metrics").out
    assert value(text, "dbtend_target_size_bytes", name="sales.db") is not None
    assert value(text, "dbtend_target_figures_timestamp_seconds", name="sales.db") == figures
    surveyed = value(text, "dbtend_target_surveyed_timestamp_seconds", name="sales.db")
    assert surveyed is not None
    assert surveyed > figures
    assert value(text, "dbtend_target_figures_timestamp_seconds", name="missing.db") is None


def test_a_failure_after_a_success_keeps_the_time_of_the_success(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("run", sales, "--op", "analyze").code == OK
    completed = value(dbtend("metrics").out, "dbtend_operation_last_completed_timestamp_seconds", operation="analyze")
    other = make_database(sales.with_name("other.db"), rows=1)
    sales.rename(sales.with_name("away.db"))
    assert dbtend("run", sales, other, "--op", "analyze").code == FAILED
    text = dbtend("metrics").out
    assert value(text, "dbtend_operation_last_outcome", name="sales.db", outcome="failed") == 1
    assert value(text, "dbtend_operation_last_outcome", name="sales.db", outcome="completed") is None
    assert value(text, "dbtend_operation_last_completed_timestamp_seconds", name="sales.db") == completed


def test_with_targets_in_the_config_only_these_are_told_of(dbtend: CommandLine, sales: Path) -> None:
    other = make_database(sales.with_name("other.db"), rows=1)
    (sales.parent / "many").mkdir()
    member = make_database(sales.parent / "many" / "t1.db", rows=1)
    dbtend("fleet", sales, other, member)
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\n[targets.many]\nurl = "{sales.parent}/many/*.db"\n')
    text = dbtend("metrics").out
    assert {dict(labels)["name"] for name, labels in samples(text) if name == "dbtend_target_level"} == {
        "shop", "t1.db"
    }  # fmt: skip


@pytest.fixture
def only_in_a_schedule(dbtend: CommandLine, sales: Path) -> Path:
    """A damaged database that no section of a target names, beside one that its schedule leaves out."""
    (sales.parent / "many").mkdir()
    member = make_database(sales.parent / "many" / "t1.db", rows=300)
    remove_index_entries(member, "order")
    make_database(sales.parent / "many" / "test_1.db", rows=1)
    dbtend.configure(
        f'[targets.shop]\nurl = "{sales}"\n[schedules.nightly]\nstart = "0 22 * * *"\n'
        f'targets = ["shop", "{sales.parent}/many/*.db"]\nexclude = ["test_*"]\n'
    )
    return member


def test_what_only_a_schedule_names_is_told_of_too(dbtend: CommandLine, only_in_a_schedule: Path) -> None:
    assert value(dbtend("metrics").out, "dbtend_targets", level="unknown") == 2
    assert dbtend("run", only_in_a_schedule, "--op", "check").code == FAILED
    text = dbtend("metrics").out
    assert value(text, "dbtend_targets", level="critical") == 1
    assert value(text, "dbtend_target_level", name="t1.db", level="critical") == 1
    page = only_in_a_schedule.with_name("report.html")
    assert dbtend("report", "--html", page).code == OK
    assert re.search(r"<b>1</b>\s*critical or unreachable", page.read_text())
    names = {row["name"] for row in dbtend("fleet", "--json").json["targets"]}
    assert names == {"shop", "t1"}
    assert dbtend("doctor").out.count("can be maintained") == 2


def test_targets_that_were_never_surveyed_are_unknown(dbtend: CommandLine, sales: Path) -> None:
    (sales.parent / "many").mkdir()
    for number in range(3):
        make_database(sales.parent / "many" / f"t{number}.db", rows=1)
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\n[targets.many]\nurl = "{sales.parent}/many/*.db"\n')
    assert value(dbtend("metrics").out, "dbtend_targets", level="unknown") == 4
    dbtend("fleet", sales)
    text = dbtend("metrics").out
    assert value(text, "dbtend_targets", level="unknown") == 3
    assert value(text, "dbtend_target_level", name="shop", level="unknown") is None
    assert value(text, "dbtend_target_level", name="t1.db", level="unknown") == 1


def test_damage_that_a_check_found_makes_its_target_critical_without_a_survey(dbtend: CommandLine, sales: Path) -> None:
    other = make_database(sales.with_name("other.db"), rows=1)
    broken = make_database(sales.with_name("damaged.db"), rows=500)
    dbtend("fleet", broken)
    remove_index_entries(broken, "order")
    assert dbtend("run", broken, other, "--op", "check", "--check", "full").code == FAILED
    text = dbtend("metrics").out
    assert value(text, "dbtend_targets", level="critical") == 1
    assert value(text, "dbtend_target_level", name="damaged.db", level="critical") == 1
    assert value(text, "dbtend_target_level", name="other.db", level="unknown") == 1
    assert dbtend("run", broken, "--op", "reindex").code == OK
    assert value(dbtend("metrics").out, "dbtend_targets", level="critical") == 0


def test_schedules_of_the_config_have_metrics_before_their_first_night_and_removed_ones_have_none(
    dbtend: CommandLine, sales: Path
) -> None:
    nightly = f'[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["analyze"]\nstart = "0 22 * * *"\n'
    dbtend.configure(nightly)
    text = dbtend("metrics").out
    assert value(text, "dbtend_schedule_firings", schedule="nightly", status="fired") == 0
    due = value(text, "dbtend_schedule_next_due_timestamp_seconds", schedule="nightly")
    assert due is not None
    assert 0 <= due - now() / 1e6 <= 25 * 3600
    dbtend("schedules", "--run", "nightly")
    assert value(dbtend("metrics").out, "dbtend_schedule_firings", schedule="nightly", status="fired") == 1
    dbtend("schedules", "--disable", "nightly")
    assert value(dbtend("metrics").out, "dbtend_schedule_next_due_timestamp_seconds") is None
    dbtend.configure("")
    assert value(dbtend("metrics").out, "dbtend_schedule_firings", schedule="nightly", status="fired") is None


def test_a_config_that_cannot_be_read_is_a_metric_and_an_error(dbtend: CommandLine, tmp_path: Path) -> None:
    dbtend.configure("")
    assert value(dbtend("metrics").out, "dbtend_config_readable") == 1
    dbtend.configure("[targets")
    done = dbtend("metrics", "--textfile", tmp_path / "dbtend.prom")
    assert done.code == USAGE
    assert "config" in done.err
    assert value((tmp_path / "dbtend.prom").read_text(), "dbtend_config_readable") == 0


def test_open_jobs_and_schedules(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("run", sales, "--op", "analyze").code == OK

    async def miss() -> None:
        async with Engine.open(dbtend.store) as engine:
            missed = Firing(
                schedule="nightly", due_at=now() - 60_000_000, status=FiringStatus.MISSED, recorded_at=0,
                reason=FiringReason.NO_WORKER,
            )  # fmt: skip
            await engine._store.record_firings([missed])
            await engine.pause("dba")

    asyncio.run(miss())
    dbtend.configure(f'[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["analyze"]\nstart = "0 22 * * *"\n')
    text = dbtend("metrics").out
    assert value(text, "dbtend_schedule_firings", schedule="nightly", status="missed") == 1
    assert value(text, "dbtend_schedule_last_missed_timestamp_seconds", schedule="nightly") is not None
    assert value(text, "dbtend_schedule_last_fired_timestamp_seconds") is None
    assert value(text, "dbtend_paused") == 1


def test_targets_on_which_the_newest_night_began_nothing_or_not_all_are_counted(
    dbtend: CommandLine, sales: Path
) -> None:
    late = Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    in_part = Outcome(status=Status.COMPLETED, reason=Reason.TIME_LIMIT, left=1)
    not_needed = Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED)
    failed = Outcome(status=Status.FAILED, reason=Reason.OPERATION_ERROR, error="locked")
    cancelled = Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER)
    done = Outcome(status=Status.COMPLETED)

    async def night(due_at: int, *outcomes: tuple[Outcome, Outcome]) -> None:
        new = [new_job(f"t{place}", Operation.CHECK, Operation.VACUUM) for place in range(len(outcomes))]
        async with Engine.open(dbtend.store) as engine:
            store = engine._store
            ids = await store.submit(new, OnDuplicate.REFUSE, NewBatch(schedule="nightly"))
            for parent_id, both in zip(ids, outcomes, strict=True):
                for outcome in both:  # past its limit the first ends the other, too
                    if (claim := await store.claim("me", [parent_id])) is not None:
                        await store.finish(claim, outcome, Report())
            batch = (await store.job(ids[0])).batch
            fired = Firing(
                schedule="nightly", due_at=due_at, status=FiringStatus.FIRED, recorded_at=due_at, batch=batch
            )
            await store.record_firings([fired])

    dbtend.configure(f'[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["analyze"]\nstart = "0 22 * * *"\n')
    metric = "dbtend_schedule_last_not_begun"
    assert value(dbtend("metrics").out, metric, schedule="nightly") is None
    start = now() - 3_600_000_000
    asyncio.run(night(start, (late, late), (done, done)))
    assert value(dbtend("metrics").out, metric, schedule="nightly") == 1
    ends = [(done, late), (done, in_part), (late, late)]
    others = [(done, done), (done, not_needed), (failed, late), (done, cancelled)]
    asyncio.run(night(start + 1, *ends, *others))
    assert value(dbtend("metrics").out, metric, schedule="nightly") == len(ends)
    asyncio.run(night(start + 2, *others))
    assert value(dbtend("metrics").out, metric, schedule="nightly") == 0


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a{b}", "\x1b[2J", "größe", "a}\n# HELP x y\nx 1"])
def test_a_hostile_name_is_a_label_and_nothing_else(dbtend: CommandLine, sales: Path, name: str) -> None:
    async def save() -> None:
        survey = Survey(
            target=f"sqlite:///{name}.db", engine=EngineName.SQLITE, surveyed_at=now(), level=FleetLevel.OK, size=1
        )
        async with Engine.open(dbtend.store) as engine:
            await engine._store.save_surveys([survey])

    asyncio.run(save())
    text = dbtend("metrics").out
    assert len([one for one in samples(text) if one[0] == "dbtend_target_size_bytes"]) == 1
    assert "x" not in {known for known, _ in samples(text)}


def test_a_file_is_replaced_as_a_whole_and_everybody_can_read_it(dbtend: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "dbtend.prom"
    file.write_text("old")
    reader = file.open()
    done = dbtend("metrics", "--textfile", file)
    assert (done.code, done.out) == (OK, "")
    with reader:
        assert reader.read() == "old"
    assert value(file.read_text(), "dbtend_info") == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["dbtend.prom"]


@pytest.mark.parametrize("place", ["gone/dbtend.prom", "file/dbtend.prom", "directory"])
def test_a_file_that_cannot_be_written_is_an_error_in_a_line(dbtend: CommandLine, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory" / "full").mkdir(parents=True)
    done = dbtend("metrics", "--textfile", tmp_path / place)
    assert done.code == USAGE
    assert done.err.count("\n") == 1
    assert str(tmp_path / place) in done.err
    if place != "directory":
        assert f"there is no directory {(tmp_path / place).parent}" in done.err
    assert sorted(path.name for path in (tmp_path / "directory").iterdir()) == ["full"]


def test_what_is_no_file_is_written_to_and_stays(dbtend: CommandLine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert dbtend("metrics", "--textfile", tmp_path / "pipe").code == OK
    assert value(os.read(reader, 100_000).decode(), "dbtend_info") == 1
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    file, link = tmp_path / "real.prom", tmp_path / "link.prom"
    file.touch()
    link.symlink_to(file)
    assert dbtend("metrics", "--textfile", link).code == OK
    assert link.is_symlink()
    assert value(file.read_text(), "dbtend_info") == 1


def test_a_reader_never_sees_a_part_of_it(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    file = tmp_path / "dbtend.prom"
    dbtend("metrics", "--textfile", file)
    stop, broken = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if value(file.read_text(), "dbtend_info") != 1:
                broken.append(file.read_text())

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        dbtend("metrics", "--textfile", file)
    stop.set()
    thread.join()
    assert broken == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def served(dbtend: CommandLine, sales: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A worker that serves metrics, and its port."""
    port = free_port()
    worker = dbtend.start("worker", "--metrics", str(port), "--workers", "2")
    try:
        wait_until(lambda: answers(port))
        yield worker, port
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)


def answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False


def processes_of(port: int) -> float | None:
    with suppress(OSError):  # one worker takes the place of another
        return value(get(port)[1], "dbtend_worker_processes")
    return None


def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_worker_serves_them_on_the_loopback(served: tuple[subprocess.Popen[str], int], sales: Path) -> None:
    _, port = served
    wait_until(lambda: value(get(port)[1], "dbtend_worker_processes") == 2)
    assert get(port, "/etc/passwd")[0] == 404
    assert get(port, method="POST")[0] == 405
    assert get(port, method="HEAD") == (200, "")
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_who_asks_and_says_nothing_more_keeps_nobody_up(served: tuple[subprocess.Popen[str], int]) -> None:
    _, port = served
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    silent[0].sendall(b"GET /metr")
    silent[1].sendall(b"\xff\x00" * 9000)
    assert get(port)[0] == 200
    for connection in silent:
        connection.close()


def test_they_are_served_again_after_the_process_that_did_so_was_killed(
    served: tuple[subprocess.Popen[str], int],
) -> None:
    worker, port = served
    get(port)
    os.kill(answering(worker, port), signal.SIGKILL)
    wait_until(lambda: answers(port))


def answering(worker: subprocess.Popen[str], port: int) -> int:
    """The only process of the pool that has the socket: those that run jobs have let it go."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    (inode,) = [fields[9] for fields in lines if fields[1].endswith(f":{port:04X}") and fields[3] == "0A"]
    having = [
        child for child in children if f"socket:[{inode}]" in map(os.readlink, Path(f"/proc/{child}/fd").iterdir())
    ]
    assert len(having) == 1 < len(children)
    return int(having[0])


def test_a_second_worker_serves_them_on_its_own_port_while_it_waits_and_when_it_takes_over(
    dbtend: CommandLine, served: tuple[subprocess.Popen[str], int]
) -> None:
    first, port = served
    taken = dbtend.process("worker", "--metrics", str(port))
    assert taken.code == USAGE
    assert "Address already in use (give another port: maybe another worker serves there)" in taken.err
    other = free_port()
    second = dbtend.start("worker", "--metrics", str(other), "--workers", "1")
    try:
        wait_until(lambda: answers(other))
        assert value(get(other)[1], "dbtend_worker_processes") == 2
        first.send_signal(signal.SIGTERM)
        wait_until(lambda: processes_of(other) == 1)
    finally:
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=60)


def test_a_port_that_is_taken_is_an_error_in_a_line(dbtend: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = dbtend.process("worker", "--metrics", str(port), "--idle-exit", "0")
    assert done.code == USAGE
    assert f"dbtend: --metrics {port}: 127.0.0.1 cannot be listened on: Address already in use" in done.err


@pytest.mark.parametrize("typed", ["", "x", "0", "70000", ":9187", "127.0.0.1:", "127.0.0.1:x"])
def test_what_is_no_port_is_a_wrong_usage(dbtend: CommandLine, typed: str) -> None:
    assert dbtend("worker", f"--metrics={typed}").code == USAGE


async def test_the_targets_of_the_config_are_kept_and_listed_again_in_the_background(
    sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, listed = asyncio.Event(), list[int]()
    go.set()

    async def counted(entries: Sequence[TargetEntry], **more: Any) -> Any:
        listed.append(len(entries))
        await go.wait()
        return await expand(entries, **more)

    monkeypatch.setattr(metrics, "expand", counted)
    config, targets = (
        Config(targets=(TargetEntry(name="all", url=f"{sales.parent}/*.db"),)),
        metrics.ConfiguredTargets(),
    )
    first = await targets.of(config)
    assert len(first) == 1
    assert [await targets.of(config) for _ in range(3)] == [first] * 3
    assert listed == [1]
    monkeypatch.setattr(metrics, "_LIST_EVERY", 0.0)
    go.clear()  # a directory that hangs
    assert [await targets.of(config) for _ in range(3)] == [first] * 3
    await asyncio.sleep(0)
    assert listed == [1, 1]
    go.set()


def asked(port: int, request: bytes) -> bytes:
    """All that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", b"200"), (b"LOCALHOST:9187", b"200"), (b"127.0.0.1:1", b"200"), (b"[::1]:9187", b"200"),
        (b"192.0.2.7", b"200"), (b"", b"200"), (socket.gethostname().encode(), b"200"), (b"evil.example", b"421"),
        (b"localhost.evil.example", b"421"), (b"127.0.0.1.evil.example:9187", b"421"),
    ],
)  # fmt: skip
def test_only_names_of_this_host_are_answered(
    host: bytes, status: bytes, served: tuple[subprocess.Popen[str], int]
) -> None:
    answer = asked(served[1], b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert answer.split(b" ", 2)[1] == status
    assert (b"dbtend_jobs_open" in answer) is (status == b"200")


def test_a_name_can_be_allowed(dbtend: CommandLine) -> None:
    port = free_port()
    worker = dbtend.start("worker", "--metrics", str(port), "--metrics-host", "DB1.example.org")
    try:
        wait_until(lambda: answers(port))
        assert asked(port, b"GET /metrics HTTP/1.1\r\nHost: db1.example.org:9187\r\n\r\n").split(b" ", 2)[1] == b"200"
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert dbtend("worker", "--metrics-host", "db1").code == USAGE


def test_idle_connections_do_not_keep_a_scrape_up(served: tuple[subprocess.Popen[str], int]) -> None:
    _, port = served
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for connection in idle[::2]:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    assert get(port)[0] == 200
    for connection in idle:
        connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n",
        b"GET /",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_who_sends_without_end_fills_no_memory(head: bytes, served: tuple[subprocess.Popen[str], int]) -> None:
    worker, port = served
    get(port)
    serving = answering(worker, port)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with suppress(OSError):
            connection.sendall(head)
            for _ in range(1_000):
                connection.sendall(b"x: yyyyyyyyyyyy\r\n" * 4_000)
        assert memory_of(serving) < 200_000_000
    assert get(port)[0] == 200


def memory_of(process: int) -> int:
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1_000
