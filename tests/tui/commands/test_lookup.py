"""`history`, `show`, `cancel` and `plan`: their output; they create nothing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from engine import Engine, JobId, Operation, Request
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, command_line, out_line, workers_of, write_locked
from tests.waiting import wait_until
from tui.commands import lookup


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two databases, and a home with a store."""
    directory = tmp_path_factory.mktemp("prepared")
    sales, other = (make_database(directory / name, rows=10) for name in ("sales.db", "other.db"))
    with command_line(directory / "home") as dbtend:
        dbtend("run", sales, "--op", "analyze")
        dbtend("run", other, "--op", "optimize")
        dbtend("run", sales, "--op", "vacuum")
    return directory


@pytest.fixture
def three_jobs(dbtend: CommandLine, prepared: Path) -> CommandLine:
    """#1 analyze on sales, #2 optimize on other, #3 vacuum on sales."""
    shutil.copytree(prepared / "home", dbtend.home)
    return dbtend


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], [3, 2, 1]),
        (["--limit", "2"], [3, 2]),
        (["--before", "3"], [2, 1]),
        (["--before", "#2"], [1]),
        (["--op", "vacuum"], [3]),
        (["--status", "failed"], []),
        (["--status", "completed", "--op", "optimize"], [2]),
        (["--since", "1d"], [3, 2, 1]),
        (["--until", "2000-01-01"], []),
        (["--grep", "no such error"], []),
        (["--target", "SALES"], [3, 1]),
        (["--target", "shop"], [3, 1]),
        (["--target", "sales.db"], [3, 1]),
        (["--target", "ales.db"], []),
        (["target:SHO"], [3, 1]),
        (["target:other"], [2]),
        (["target:nowhere"], []),
        (["op:vacuum", "--target", "shop"], [3]),
        (["status:completed", "op:optimize", "since:1d"], [2]),
        (["status:failed"], []),
        (["until:2000-01-01"], []),
        (["no such", "error"], []),
    ],
)
def test_filters(three_jobs: CommandLine, prepared: Path, filters: list[str], ids: list[int]) -> None:
    sales = prepared / "sales.db"
    three_jobs.configure(f'[targets.shop]\nurl = "{sales}"')
    words = [str(sales) if word == "SALES" else word for word in filters]
    result = three_jobs("history", *words, "--json")
    assert result.code == 0
    assert [job["id"] for job in result.json["jobs"]] == ids


def test_words_and_grep_find_the_same_errors(three_jobs: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        three_jobs("run", sales, "--op", "reindex", "--lock-timeout", "0")
    (job,) = three_jobs("show", "4", "--json").json["jobs"]
    error = job["children"][0]["error"]
    first, *_, last = error.split()

    def found(*words: str) -> list[int]:
        return [job["id"] for job in three_jobs("history", *words, "--json").json["jobs"]]

    for words in (["--grep", error], [error.upper()], [last, first], ["status:failed", "op:reindex", first]):
        assert found(*words) == [4]
    assert found(f"{last} {first}") == []
    assert found("--grep", first, "no such thing") == []


def test_the_history_for_a_person(three_jobs: CommandLine) -> None:
    result = three_jobs("history", "--limit", "2")
    assert [line.split()[0] for line in result.out.splitlines()] == ["JOB", "#3", "#2"]
    assert result.err.endswith(" --before 2\n")


def test_a_history_in_which_nothing_is_found_says_what_may_be_meant(three_jobs: CommandLine) -> None:
    said = three_jobs("history", "vacuum").err
    assert "mean op:vacuum?" in said


def test_one_job_and_one_of_its_operations(three_jobs: CommandLine) -> None:
    assert "VACUUM" in three_jobs("show", "#3").out
    assert "#3.1 vacuum completed" in three_jobs("show", "3.1").out
    (job,) = three_jobs("show", "3.1", "--json").json["jobs"]
    assert [child["id"] for child in job["children"]] == ["3.1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "99"], "job 99"),
        (["show", "3.9"], "the operations of this job are 3.1 to 3.1"),
        (["show"], "no JOB was given"),
        (["show", "1", "2"], "takes one JOB"),
        (["show", "x"], "is no job id"),
        (["cancel", "99"], "job 99"),
        (["retry", "99"], "job 99"),
        (["retry", "1.1"], "give the job itself: 1"),
        (["history", "status:faild"], "status:faild: is no status (did you mean failed?"),
        (["history", "op:vacuum", "--op", "check"], "--op: there is also op: among the words (leave one of them out)"),
    ],
)
def test_what_is_not_there(three_jobs: CommandLine, words: list[str], said: str) -> None:
    result = three_jobs(*words)
    assert result.code == 2
    assert said in result.err


@pytest.mark.parametrize(
    ("word", "said"),
    [("reindex", "Did you mean op:reindex?"), ("db:shop", "Others begin with target:,"), ("op:backup", "")],
)
def test_where_no_job_matches_it_says_what_plain_words_search(three_jobs: CommandLine, word: str, said: str) -> None:
    result = three_jobs("history", word)
    assert said in result.err
    assert ("Plain words search error texts" in result.err) is bool(said)


def test_cancel_of_what_is_over_changes_nothing(three_jobs: CommandLine) -> None:
    result = three_jobs("cancel", "3")
    assert (result.code, result.out.split(": ")[0]) == (0, "#3 sales.db is already completed")
    result = three_jobs("cancel", "3.1")
    assert (result.code, result.out.split()[0], "already completed" in result.out) == (0, "#3.1", True)


def test_cancel_of_what_waits_and_of_what_runs(dbtend: CommandLine, sales: Path) -> None:
    two = ("--op", "vacuum", "--op", "analyze", "--op", "optimize", "--lock-timeout", "600")
    with write_locked(sales), dbtend.start("run", sales, *two) as process:
        wait_until(lambda: dbtend.store.exists() and bool(workers_of(dbtend.store)))
        assert "analyze cancelled: " in dbtend("cancel", "1.2").out
        *lines, last = dbtend("cancel", "1").out.splitlines()
        of_jobs = [line.partition(" sales.db ") for line in lines if line.startswith("#")]
        assert [(job, words.partition(":")[0]) for job, _, words in of_jobs] == [
            ("#1.1", "vacuum running, cancel requested"),
            ("#1.2", "analyze is already cancelled"),
            ("#1.3", "optimize cancelled"),
        ]
        assert last.endswith(": dbtend show 1")
        assert process.wait(timeout=30) == 130


def test_what_lost_its_process_is_told_until_it_is_cancelled_which_does_not_say_that_it_had_not_begun(
    dbtend: CommandLine, sales: Path
) -> None:
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        out_line(process)
        process.kill()
        process.wait(timeout=30)
        wait_until(lambda: not workers_of(dbtend.store))  # which die just after it
    left = "sales.db: job #1 (vacuum) was interrupted: run the same again or start dbtend worker"
    for command in ("advise", "plan", "run"):
        again = dbtend(command, sales, *(["--op", "analyze"] if command == "run" else []))
        assert again.code == 0
        assert left in again.err
    told = "its process died, and the database has not been recovered"
    to_do = "A check of the database says whether it is sound. Run dbtend retry 1 to do the operation again."
    assert dbtend("cancel", "1").out == f"#1.1 sales.db vacuum cancelled: {told}\n  {to_do}\n"
    for words in (("show", "1"), ("history",)):
        said = dbtend(*words).out
        assert "not been rec" in said
        assert "not begun" not in said


@pytest.mark.parametrize(
    ("words", "ended"),
    [
        (["--op", "vacuum"], True),
        (["--op", "vacuum", "--lock-timeout", "7"], True),
        (["--op", "analyze", "--op", "vacuum"], True),
        (["--op", "analyze"], False),
        (["--op", "vacuum", "--swap"], False),
    ],
)
def test_an_interrupted_job_is_ended_by_one_that_does_the_same(
    dbtend: CommandLine, sales: Path, words: list[str], ended: bool
) -> None:
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        out_line(process)
        process.kill()
        process.wait(timeout=30)
        wait_until(lambda: not workers_of(dbtend.store))  # which die just after it
    done = dbtend("run", sales, *words)
    assert done.code == 0, done.err
    (first,) = dbtend("show", "1", "--json").json["jobs"]
    (child,) = first["children"]
    assert (child["status"], child["reason"]) == (("cancelled", "not_needed") if ended else ("pending", None))
    assert first["outcome"] == ("cancelled" if ended else "interrupted")
    assert ("is ended: job #2 has done the same" in done.err) is ended
    assert "retry" not in dbtend("show", "1").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["history"], 0),
        (["show", "1"], 2),
        (["cancel", "1"], 2),
        (["retry", "1"], 2),
        (["pin", "1"], 2),
        (["doctor"], 0),
    ],
)
def test_looking_creates_no_store(dbtend: CommandLine, words: list[str], code: int) -> None:
    assert dbtend(*words).code == code
    assert not dbtend.store.parent.exists()


def test_a_plan_creates_no_store_and_changes_nothing(dbtend: CommandLine, sales: Path) -> None:
    before = sales.read_bytes()
    result = dbtend("plan", sales, "--json")
    assert result.code == 0
    (plan,) = result.json["jobs"]
    assert [child["operation"] for child in plan["children"]] == ["vacuum", "analyze"]
    assert "status" not in plan
    assert plan["children"][0]["steps"][0]["command"] == "VACUUM"
    shown = dbtend("plan", sales).out
    assert all(step["command"] in shown for child in plan["children"] for step in child["steps"])
    assert sales.read_bytes() == before
    assert not dbtend.store.parent.exists()


def test_what_runs_is_what_the_plan_showed(dbtend: CommandLine, sales: Path) -> None:
    (plan,) = dbtend("plan", sales, "--op", "reindex", "--json").json["jobs"]
    (job,) = dbtend("run", sales, "--op", "reindex", "--json").json["jobs"]
    planned, ran = (form["children"][0]["steps"] for form in (plan, job))
    assert [step["command"] for step in ran] == [step["command"] for step in planned]


def test_the_history_is_a_table_for_spreadsheets(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "analyze", "--op", "check")
    done = dbtend("history", "--csv")
    assert (done.code, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert head.startswith("job,batch,schedule,target,name,engine,operation,status")
    assert [row.split(",")[6] for row in rows] == ["analyze", "check"]
    assert dbtend("history", "op:vacuum", "--csv").out.splitlines() == [head]
    both = dbtend("history", "--csv", "--json")
    assert both.code == 2
    assert "--csv: does not go with --json" in both.err


def test_the_table_for_spreadsheets_is_of_all_jobs_unless_a_limit_is_given(
    dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit() -> None:
        async with Engine.open(dbtend.store) as engine:
            for _ in range(60):
                (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.ANALYZE,))])
                await engine.cancel(JobId(job.id))

    asyncio.run(submit())

    def numbers(*options: str) -> list[int]:
        done = dbtend("history", "--csv", *options)
        assert (done.code, done.err) == (0, "")
        return [int(row.partition(".")[0]) for row in done.out.splitlines()[1:]]

    everything = list(range(60, 0, -1))
    assert numbers() == everything
    assert len(dbtend("history", "--json").json["jobs"]) == 50
    for portion in (1, 7, 20, 60):  # of any size, the parts make the whole
        monkeypatch.setattr(lookup, "_PORTION", portion)
        assert numbers() == everything
        assert numbers("--limit", "21", "--before", "51") == everything[10:31]
