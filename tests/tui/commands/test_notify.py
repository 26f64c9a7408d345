"""`dbtend notify`, and people who are told by workers and runs: real processes, real servers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.domain.errors import StoreError
from tests.receivers import Post, WebServer, mail_server, silent_server, web_server
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until
from tui.presentation.exit_codes import FAILED, OK, USAGE

Start = Callable[[], subprocess.Popen[str]]
SECRET = "s3cr3t-t0ken-0815"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=5)


def configure(dbtend: CommandLine, web: WebServer, more: str = "") -> None:
    token = dbtend.home.parent / "token"
    token.write_text(SECRET)
    dbtend.configure(f'[notify.ops]\nwebhook = "{web.url}"\ntoken_file = "{token}"\nsettle = "0s"\n{more}\n')


async def submit(store: Path, *targets: Path) -> None:
    async with Engine.open(store) as engine:
        await engine.submit([Request(target=str(path), operations=(Operation.ANALYZE,)) for path in targets])


def ends(worker: subprocess.Popen[str]) -> str:
    """What it said on standard error."""
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    return said


@pytest.fixture
def start(dbtend: CommandLine) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a worker that is registered; none is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(dbtend.start("worker", "--workers", "1"))
        wait_until(lambda: is_registered(dbtend.store))
        return started[-1]

    yield start
    for worker in started:
        if worker.poll() is None:
            kill_all(worker)


def test_without_a_recipient_there_is_none(dbtend: CommandLine) -> None:
    dbtend.configure("")
    done = dbtend("notify")
    assert (done.code, done.out) == (OK, "")
    assert "has no recipient: add [notify.NAME]" in done.err


def test_each_recipient_is_listed(dbtend: CommandLine, web: WebServer) -> None:
    configure(dbtend, web, 'on = ["failed"]')
    assert dbtend("notify").out.splitlines()[1].split() == ["ops", "webhook", "never", "0", "0"]
    assert dbtend("notify", "ops", "--json").json == {
        "recipients": [
            {
                "name": "ops", "method": "webhook", "on": ["failed"], "sent_at": None, "collected": 0, "waiting": 0,
                "given_up": 0, "given_up_at": None, "error": None,
            }
        ],
        "messages": [],
    }  # fmt: skip
    assert not dbtend.store.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nobody"], "'nobody': is no recipient in the config file (known: ops)"),
        (["ops", "dba"], "takes one NAME"),
        (["--test"], "--test: needs the NAME of a recipient"),
    ],
)
def test_what_is_no_recipient_is_a_wrong_usage(dbtend: CommandLine, web: WebServer, words: list[str], why: str) -> None:
    configure(dbtend, web)
    done = dbtend("notify", *words)
    assert done.code == USAGE
    assert why in done.err


def test_a_test_message_arrives(dbtend: CommandLine, web: WebServer) -> None:
    configure(dbtend, web)
    done = dbtend("notify", "ops", "--test")
    assert (done.code, done.out) == (OK, "ops: the message was taken\n")
    assert "test message for ops" in web.taken().json["subject"]
    assert not dbtend.store.exists()


def test_a_test_message_by_mail_arrives(dbtend: CommandLine) -> None:
    with mail_server() as server:
        dbtend.configure(
            f'[notify.dba]\nsmtp = "{server.host}:{server.port}"\ntls = "none"\nfrom = "dbtend@example.org"\n'
            'to = ["dba@example.org"]\n'
        )
        assert dbtend("notify", "dba", "--test", "--json").json == {
            "recipient": "dba", "delivered": True, "error": None
        }  # fmt: skip
        assert "test message for dba" in server.taken()["Subject"]


def test_an_address_that_is_refused_is_a_failure_of_the_test_and_stays_visible(
    dbtend: CommandLine, sales: Path, start: Start
) -> None:
    with mail_server() as server:
        server.refused = {"nobody@example.org"}
        dbtend.configure(
            f'[notify.ops]\nsmtp = "{server.host}:{server.port}"\ntls = "none"\nfrom = "dbtend@example.org"\n'
            'to = ["dba@example.org", "nobody@example.org"]\nsettle = "0s"\n'
        )
        done = dbtend("notify", "ops", "--test")
        assert (done.code, done.out) == (FAILED, "")
        assert "refuses nobody@example.org (550 no such user here); others have the message" in done.err
        assert dbtend("notify", "ops", "--test", "--json").json["delivered"] is False
        start()
        dbtend("run", str(sales.with_name("gone.db")), str(sales), "--op", "analyze")
        wait_until(lambda: dbtend("notify", "--json").json["recipients"][0]["sent_at"] is not None)
        listed = dbtend("notify")
        assert listed.code == FAILED
        assert "nobody@example.org (550" in listed.out
        (message,) = dbtend("notify", "ops", "--json").json["messages"]
        assert (message["status"], message["events"], message["attempts"]) == ("sent", 1, 1)
        assert "nobody@example.org (550" in message["error"]
        told = dbtend("notify", "ops").out.splitlines()[-1]
        assert "sent" in told
        assert "gone.db failed: analyze" in told or "gone.db failed: unreachable" in told
        assert "refuses nobody@example.org" in dbtend("doctor").out


def test_a_test_message_that_is_not_taken_says_why(dbtend: CommandLine, web: WebServer) -> None:
    configure(dbtend, web)
    web.answers, web.answer_text = [401], f"{SECRET} is no token"
    done = dbtend("notify", "ops", "--test")
    assert (done.code, done.out) == (FAILED, "")
    assert done.err == f"dbtend: notify ops: {web.place} answers 401 Unauthorized: *** is no token\n"


def test_a_name_of_several_lines_is_told_in_one(dbtend: CommandLine) -> None:
    dbtend.configure('[notify."a\\nb"]\ncommand = ["false"]\n')
    done = dbtend("notify", "a\nb", "--test")
    assert done.err == "dbtend: notify a\\nb: false ended with exit code 1\n"


def test_a_test_message_is_refused_where_nothing_may_be_changed(dbtend: CommandLine, web: WebServer) -> None:
    configure(dbtend, web)
    assert dbtend("notify", "--read-only").code == OK
    assert dbtend("notify", "ops", "--test", "--read-only").code == USAGE
    assert web.none_waits()


def test_a_run_tells_people_if_its_config_says_so(dbtend: CommandLine, web: WebServer, sales: Path) -> None:
    configure(dbtend, web, "from_runs = true")
    done = dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze")
    assert done.code == FAILED
    document = web.taken().json
    assert [(event["kind"], event["name"]) for event in document["events"]] == [("failed", "missing.db")]
    assert document["store"] == str(dbtend.store)
    make_database(sales.with_name("missing.db"), rows=1)
    assert dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze").code == OK
    assert [event["kind"] for event in web.taken().json["events"]] == ["recovered"]
    assert web.none_waits()


def test_a_schedule_that_is_run_tells_people_of_a_failure(dbtend: CommandLine, web: WebServer, sales: Path) -> None:
    schedule = f'[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["analyze"]\nstart = "* * * * *"\n'
    configure(dbtend, web, f"from_runs = true\n{schedule}")
    sales.write_bytes(b"no database at all, but long enough to be read as the header of one" * 20)
    assert dbtend.process("schedules", "--run", "nightly").code == FAILED
    assert [(event["kind"], event["name"]) for event in web.taken().json["events"]] == [("failed", "sales.db")]
    make_database(sales.with_name("new.db"), rows=1).replace(sales)
    assert dbtend.process("schedules", "--run", "nightly", "--as-due").code == OK
    assert [event["kind"] for event in web.taken().json["events"]] == ["recovered"]
    assert web.none_waits()


def test_a_schedule_that_is_started_as_due_tells_people_of_a_missed_night(
    dbtend: CommandLine, web: WebServer, sales: Path
) -> None:
    opened, closed = (datetime.now(UTC) - timedelta(hours=hours) for hours in (2, 1))
    configure(
        dbtend,
        web,
        f'from_runs = true\n[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["analyze"]\ntimezone = "UTC"\n'
        f'start = "0 {opened.hour} * * *"\nuntil = "{closed.hour:02}:00"\ncatch_up = "8h"\n',
    )
    assert dbtend.process("schedules", "--as-due", "--run", "nightly").code == FAILED
    assert [(event["kind"], event["schedule"]) for event in web.taken().json["events"]] == [("missed", "nightly")]
    assert dbtend.process("schedules", "--as-due", "--run", "nightly").code == OK
    assert web.none_waits()


def test_the_worker_of_a_detached_run_tells_people_at_its_end(dbtend: CommandLine, web: WebServer, sales: Path) -> None:
    configure(dbtend, web, "from_runs = true")
    assert dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze", "--detach").code == OK
    wait_until(lambda: "completed" in dbtend("history").out)
    for process in dbtend("workers", "--json").json["workers"]:
        os.kill(process["pid"], signal.SIGTERM)
    assert [event["name"] for event in web.taken().json["events"]] == ["missing.db"]


def test_whoever_is_impatient_gets_the_exit_code_of_the_run(dbtend: CommandLine, sales: Path) -> None:
    with silent_server() as port:
        dbtend.configure(f'[notify.ops]\nwebhook = "http://127.0.0.1:{port}/"\nfrom_runs = true\ntimeout = 300\n')
        run = dbtend.start("run", sales, sales.with_name("missing.db"), "--op", "analyze")
        wait_until(lambda: dbtend.store.exists() and waiting(dbtend) == 1)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == FAILED
    assert "dbtend: notify interrupted; the next run or worker tries again" in said


def test_a_run_tells_nobody_if_its_config_does_not_say_so(dbtend: CommandLine, web: WebServer, sales: Path) -> None:
    configure(dbtend, web)
    assert dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze").code == FAILED
    assert web.none_waits()


def test_a_run_whose_message_is_not_taken_ends_as_it_would_without(
    dbtend: CommandLine, web: WebServer, sales: Path
) -> None:
    configure(dbtend, web, "from_runs = true")
    web.answers = [503, 200]
    done = dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze")
    assert done.code == FAILED
    assert f"dbtend: notify ops: {web.place} answers 503 Service Unavailable; the next run or worker" in done.err
    first = web.taken().json
    listed = dbtend("notify")
    assert listed.code == FAILED
    assert "answers 503" in listed.out
    assert dbtend("doctor").out.count("notify") >= 1
    assert dbtend.process("run", sales, "--op", "analyze").code == OK
    assert web.none_waits()  # not due yet: nothing new happened, and the next try is a minute later
    assert [event["name"] for event in first["events"]] == ["missing.db"]


def test_a_worker_tells_people_of_jobs_that_others_submitted(
    dbtend: CommandLine, web: WebServer, sales: Path, start: Start
) -> None:
    configure(dbtend, web)
    worker = start()
    asyncio.run(submit(dbtend.store, sales, sales.with_name("missing.db"), sales.with_name("gone.db")))
    document = web.taken().json
    assert [event["name"] for event in document["events"]] == ["missing.db", "gone.db"]
    assert "no message is sent" not in dbtend("notify").err
    said = ends(worker)
    assert SECRET not in said
    assert "no permanent worker runs here, so no message is sent" in dbtend("notify").err
    assert "no message is sent" in dbtend("doctor").out
    assert web.none_waits()


def test_a_worker_takes_a_recipient_from_a_config_that_has_changed(
    dbtend: CommandLine, web: WebServer, sales: Path
) -> None:
    worker = dbtend.start("worker", "--workers", "1")
    try:
        wait_until(lambda: is_registered(dbtend.store, named=False))
        configure(dbtend, web)
        asyncio.run(submit(dbtend.store, sales))  # a change wakes it
        wait_until(lambda: is_registered(dbtend.store))
        asyncio.run(submit(dbtend.store, sales.with_name("missing.db"), sales.with_name("gone.db")))
        assert [event["name"] for event in web.taken().json["events"]] == ["missing.db", "gone.db"]
    finally:
        ends(worker)


def is_registered(store: Path, *, named: bool = True) -> bool:
    """Whether a worker knows the recipient; or, not `named`, is there."""

    async def look() -> bool:
        with suppress(StoreError):  # it is being made
            async with Engine.open(store, read_only=True) as engine:
                return "ops" in await engine._store.seen_by_recipients() if named else bool(await engine.workers())
        return False

    return store.exists() and asyncio.run(look())


def test_a_target_that_hangs_keeps_no_worker_up(dbtend: CommandLine, sales: Path, start: Start) -> None:
    with silent_server() as port:
        dbtend.configure(f'[notify.ops]\nwebhook = "http://127.0.0.1:{port}/"\nsettle = "0s"\ntimeout = 600\n')
        worker = start()
        asyncio.run(submit(dbtend.store, sales.with_name("missing.db"), sales.with_name("gone.db")))
        wait_until(lambda: waiting(dbtend) == 1)
        asyncio.run(submit(dbtend.store, sales, sales.with_name("missing.db")))
        wait_until(lambda: "completed" in dbtend("history").out)
        ends(worker)
    assert worker.returncode == OK
    assert waiting(dbtend) >= 1


def waiting(dbtend: CommandLine) -> int:
    number: int = dbtend("notify", "--json").json["recipients"][0]["waiting"]
    return number


def test_workers_that_are_killed_lose_no_event_and_tell_none_in_two_messages(
    dbtend: CommandLine, web: WebServer, tmp_path: Path, start: Start
) -> None:
    """A message that was taken when its worker died may arrive again: with the same key."""
    configure(dbtend, web, 'latest = "0s"')
    taken = Taken(web)
    for number in range(5):
        worker = start()
        asyncio.run(submit(dbtend.store, *(tmp_path / f"t{number}-{which}.db" for which in range(4))))
        wait_until(partial(taken.has_more_than, 4 * number))
        kill_all(worker)
    worker = start()
    expected = {f"{job}.1" for job in range(1, 21)}
    wait_until(lambda: taken.has_more_than(19))
    ends(worker)
    taken.has_more_than(0)
    by_key = {post.headers["Idempotency-Key"]: post.json["events"] for post in taken.posts}
    assert Counter(event["job"] for events in by_key.values() for event in events) == Counter(expected)


def test_a_worker_that_dies_in_the_middle_of_a_delivery_loses_nothing_and_what_was_taken_may_come_again(
    dbtend: CommandLine, web: WebServer, sales: Path, start: Start
) -> None:
    services = dbtend.home.parent / "services"
    one, two = (f"json://{web.place}/{name}" for name in ("one", "two"))
    dbtend.configure(f'[notify.ops]\napprise_file = "{services}"\nsettle = "0s"\ntimeout = 120\n')
    with silent_server() as port:
        services.write_text(f"{one}\njson://127.0.0.1:{port}/?rto=600&cto=600\n")
        worker = start()
        asyncio.run(submit(dbtend.store, sales.with_name("missing.db"), sales.with_name("gone.db")))
        first = web.taken()
        kill_all(worker)
    services.write_text(f"{one}\n{two}\n")
    ending = start()
    again, other = web.taken(), web.taken()
    wait_until(lambda: waiting(dbtend) == 0)
    ends(ending)
    assert [post.path for post in (first, again, other)] == ["/one", "/one", "/two"]
    assert first.json["message"] == again.json["message"] == other.json["message"]
    assert web.none_waits()
    (message,) = dbtend("notify", "ops", "--json").json["messages"]
    assert (message["status"], message["events"]) == ("sent", 2)


class Taken:
    """All that a server has taken so far."""

    def __init__(self, web: WebServer) -> None:
        self._web = web
        self.posts: list[Post] = []

    def has_more_than(self, number: int) -> bool:
        """Whether it was told of more than so many jobs."""
        while not self._web.none_waits():
            self.posts.append(self._web.taken())
        return len({event["job"] for post in self.posts for event in post.json["events"]}) > number


def kill_all(worker: subprocess.Popen[str]) -> None:
    """The worker with its processes, as by a machine that loses power."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for pid in (worker.pid, *map(int, children)):
        subprocess.run(["kill", "-KILL", str(pid)], check=False)
    worker.communicate(timeout=30)


def test_no_secret_is_in_the_store_its_logs_or_on_the_screen(dbtend: CommandLine, web: WebServer, sales: Path) -> None:
    configure(dbtend, web, "from_runs = true")
    web.answers, web.answer_text = [403], f"wrong: {SECRET}"
    done = dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze")
    listed = dbtend("notify")
    assert web.taken().headers["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in done.out + done.err + listed.out + listed.err
    for path in dbtend.store.parent.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    assert re.search(r"answers 403 .*: wrong: \*\*\*", listed.out)


def test_a_schedule_chooses_who_is_told_of_its_jobs(
    dbtend: CommandLine, web: WebServer, sales: Path, start: Start
) -> None:
    schedule = f'[schedules.nightly]\ntargets = ["{sales.parent}/gone.db"]\nstart = "0 22 * * *"\nnotify = ["dba"]\n'
    dba = f'[notify.dba]\nwebhook = "{web.url}/dba"\nsettle = "0s"\n'
    configure(dbtend, web, f"{dba}{schedule}")
    worker = start()
    assert dbtend.process("schedules", "--run", "nightly").code == FAILED
    asyncio.run(submit(dbtend.store, sales.with_name("missing.db"), sales))
    told: dict[str, list[dict[str, str]]] = {"/hook": [], "/hook/dba": []}

    def all_have_come() -> bool:
        while not web.none_waits():
            post = web.taken()
            told[post.path] += post.json["events"]
        return bool(told["/hook"]) and len(told["/hook/dba"]) > 1

    wait_until(all_have_come)
    ends(worker)
    assert {event["name"] for event in told["/hook"]} == {"missing.db"}
    assert {event["name"] for event in told["/hook/dba"]} == {"gone.db", "missing.db"}
    assert {event["schedule"] for event in told["/hook/dba"] if event["name"] == "gone.db"} == {"nightly"}


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ('webhook = "https://a.b/"\ntoken_file = "/no/such/file"', "/no/such/file cannot be read"),
        ('command = ["/no/such/program"]', "/no/such/program is no program"),
        ('webhook = "https://a.b/"\ntoken_command = ["no-such-program"]', "no-such-program is no program"),
    ],
)
def test_the_doctor_finds_what_keeps_a_message_from_being_sent(dbtend: CommandLine, section: str, what: str) -> None:
    dbtend.configure(f"[notify.ops]\n{section}\n")
    done = dbtend("doctor")
    assert done.code == FAILED
    assert what in done.out


def test_the_doctor_finds_a_secret_that_others_can_read(dbtend: CommandLine, web: WebServer) -> None:
    configure(dbtend, web)
    token = dbtend.home.parent / "token"
    token.chmod(0o644)
    assert f"{token} is open to others (0644)" in dbtend("doctor").out
    token.chmod(0o600)
    assert "notify" not in dbtend("doctor").out


def test_without_a_config_file_it_says_where_to_write_one(dbtend: CommandLine) -> None:
    said = dbtend("notify")
    assert said.code == 0
    assert "there is no config file " in said.err
    assert "[notify.NAME]" in said.err
