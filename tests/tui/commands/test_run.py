"""`dbtend run` on real files, and as a real process where signals, pipes and terminals matter."""

from __future__ import annotations

import errno
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.domain.damage import NO_CHECK_ON_RECORD
from tests.sqlite_files import content, integrity, remove_index_entries
from tests.tui.command_line import CommandLine, but_unchecked, err_line, out_line, write_locked
from tui.presentation.exit_codes import FAILED, REFUSED
from tui.presentation.job_notes import NO_CHECK_WAS_ON_RECORD

ALL_FOUR = ["vacuum", "analyze", "reindex", "optimize"]
USUAL = ["vacuum", "analyze"]


def test_a_run_does_by_default_what_makes_sense_together(dbtend: CommandLine, sales: Path) -> None:
    assert "REINDEX" not in dbtend("plan", sales).out
    plan = dbtend("plan", sales, "--json").json["jobs"][0]
    assert [child["operation"] for child in plan["children"]] == USUAL
    assert [warning for child in plan["children"] for warning in child["warnings"]] == []
    assert (plan["warnings"], plan["is_unchecked"]) == ([NO_CHECK_ON_RECORD], True)
    (job,) = dbtend("run", sales, "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == USUAL
    assert [warning for child in job["children"] for warning in child["warnings"]] == []


def test_where_a_check_found_an_index_damaged_that_one_is_rebuilt_first(dbtend: CommandLine, sales: Path) -> None:
    remove_index_entries(sales, "order")
    assert dbtend("run", sales, "--op", "check").code == 1
    plan = dbtend("plan", sales, "--json").json["jobs"][0]
    assert (plan["warnings"], plan["options"]["rebuild"]) == ([], ["order"])
    (job,) = dbtend("run", sales, "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == ["reindex", "check", *USUAL]
    assert [step["object"] for step in job["children"][0]["steps"]] == ["order"]
    assert integrity(sales) == []


@pytest.mark.parametrize("others", [0, 1])
def test_what_may_run_on_a_file_that_is_read_only_runs_and_the_rest_is_refused(
    dbtend: CommandLine, sales: Path, tmp_path: Path, others: int
) -> None:
    kept = Path(shutil.copy(sales, tmp_path / "kept.db"))
    kept.chmod(0o444)
    request: list[Path | str] = [kept, *[sales] * others, "--op", "check", "--op", "vacuum", "--json"]
    plan = dbtend("plan", *request)
    (planned,) = [job["children"] for job in plan.json["jobs"] if job["target"].endswith("kept.db")]
    assert [(bool(child["steps"]), bool(child["error"])) for child in planned] == [(True, False), (False, True)]
    done = dbtend("run", *request)
    children = [child for job in done.json["jobs"] if job["target"].endswith("kept.db") for child in job["children"]]
    ended = [(child["operation"], child["status"], child["reason"]) for child in children]
    assert ended == [("check", "completed", None), ("vacuum", "failed", "refused")]
    assert (plan.code, done.code, dbtend("run", kept, "--op", "vacuum").code) == (4, 4, 4)


def test_what_the_config_says_is_not_added_to(dbtend: CommandLine, sales: Path) -> None:
    remove_index_entries(sales, "order")
    dbtend("run", sales, "--op", "check")
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\noperations = ["vacuum", "analyze"]')
    (job,) = dbtend("run", "shop", "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == USUAL


def test_all_four_operations_in_order_leave_the_content_as_it_was(dbtend: CommandLine, sales: Path) -> None:
    before, size = content(sales), sales.stat().st_size

    result = dbtend("run", sales, *(word for name in ALL_FOUR for word in ("--op", name)), "--json")

    assert (result.code, but_unchecked(result.err)) == (0, "")
    (job,) = result.json["jobs"]
    assert job["status"] == "completed"
    assert [child["operation"] for child in job["children"]] == ALL_FOUR
    assert {child["status"] for child in job["children"]} == {"completed"}
    assert all(child["steps"] for child in job["children"])
    assert job["children"][0]["before"]["size"] == size > sales.stat().st_size
    assert content(sales) == before
    assert integrity(sales) == []


def test_history_and_show_tell_the_same(dbtend: CommandLine, sales: Path) -> None:
    (ran,) = dbtend("run", sales, "--json").json["jobs"]
    assert dbtend("history", "--json").json["jobs"] == [ran]
    (shown,) = dbtend("show", "1", "--json").json["jobs"]
    for child in shown["children"]:
        del child["log"], child["page_maps"]
    assert shown == ran


def test_operations_run_as_chosen(dbtend: CommandLine, sales: Path) -> None:
    (job,) = dbtend("run", "--op", "reindex", sales, "--op", "vacuum", "--on-failure", "stop", "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == ["reindex", "vacuum"]
    assert job["options"]["on_failure"] == "stop"


def test_a_person_is_told_what_is_written_to_and_was_never_checked(
    dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dbtend("run", sales, "--op", "analyze", "--quiet").err == f"dbtend: sales.db: {NO_CHECK_WAS_ON_RECORD}\n"
    assert f"  warning  {NO_CHECK_WAS_ON_RECORD}" in dbtend("show", "1").out
    (job,) = dbtend("run", sales, "--op", "analyze", "--op", "optimize", "--json").json["jobs"]
    assert [child["before"]["is_unchecked"] for child in job["children"]] == [True, True]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for words in (["run", sales, "--op", "vacuum"], ["retry", "1"]):
        assert dbtend(*words).err.count(NO_CHECK_ON_RECORD) == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    (job,) = dbtend("run", sales, "--op", "check", "--op", "vacuum", "--json").json["jobs"]
    assert "is_unchecked" not in job["children"][1]["before"]
    assert dbtend("run", sales, "--op", "vacuum").err == ""
    assert "warning" not in dbtend("show", job["id"]).out


def test_a_person_is_told_what_force_writes_to_before_it_does(
    dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_index_entries(sales, "order")
    assert dbtend("run", sales, "--op", "check").code == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "sales.db: --force writes to what is damaged: " in dbtend("run", sales, "--op", "analyze", "--force").err
    with sales.open("r+b") as file:  # a table, too
        file.seek(4096)
        file.write(bytes(4096))
    assert dbtend("run", sales, "--op", "check").code == 1
    refused = dbtend("run", sales, "--needed", "--force")
    assert (refused.code, "name operations with --op" in refused.err) == (4, True)
    assert "writes to what is damaged" not in refused.err


def test_a_name_from_the_config_brings_its_own_settings(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\noperations = ["analyze"]\nlock_timeout = 7')
    (job,) = dbtend("run", "shop", "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == ["analyze"]
    assert job["options"]["lock_timeout"] == 7
    (job,) = dbtend("run", "shop", "--op", "optimize", "--lock-timeout", "1", "--json").json["jobs"]
    assert [child["operation"] for child in job["children"]] == ["optimize"]
    assert job["options"]["lock_timeout"] == 1


def test_plain_lines_in_a_pipe(dbtend: CommandLine, sales: Path) -> None:
    result = dbtend("run", sales, "--op", "analyze", "--op", "optimize")
    lines = result.out.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "#1.1 sales.db analyze started",
        "#1.1 sales.db analyze completed",
        "#1.2 sales.db optimize started",
        "#1.2 sales.db optimize completed",
        "#1 sales.db completed",
    ]
    assert "\x1b" not in result.out


def test_a_failed_operation_is_exit_code_1(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        result = dbtend("run", sales, "--op", "vacuum", "--lock-timeout", "0", "--json")
    assert result.code == 1
    (child,) = result.json["jobs"][0]["children"]
    assert (child["status"], child["reason"]) == ("failed", "target_busy")


def test_retry_runs_the_request_once_more(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        dbtend("run", sales, "--op", "vacuum", "--op", "optimize", "--lock-timeout", "0")
    result = dbtend("retry", "1", "--failed", "--json")
    assert result.code == 0
    (job,) = result.json["jobs"]
    assert (job["id"], job["retry_of"], job["status"]) == (2, 1, "completed")
    assert "vacuum" in [child["operation"] for child in job["children"]]
    assert dbtend("retry", "2", "--failed").code == 0  # nothing is left
    assert dbtend("history", "--json").json["jobs"][0]["id"] == 2


def test_a_run_that_joined_a_job_leaves_it_alone(dbtend: CommandLine, sales: Path) -> None:
    line = ("run", sales, "--op", "vacuum", "--lock-timeout", "600")
    with write_locked(sales):
        first = dbtend.start(*line)
        out_line(first)
        with dbtend.start(*line) as second:
            assert err_line(second).startswith("dbtend: job #1 ")
            second.send_signal(signal.SIGINT)
            assert second.wait(timeout=30) == 130
    out, _ = first.communicate(timeout=30)
    assert first.returncode == 0
    assert "#1 sales.db completed" in out
    assert len(dbtend("history", "--json").json["jobs"]) == 1


def test_a_reader_that_leaves_does_not_stop_the_run(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        process = dbtend.start("run", sales, "--lock-timeout", "600")
        out_line(process)
        assert process.stdout is not None
        process.stdout.close()
    assert process.stderr is not None
    with process:
        assert but_unchecked(process.stderr.read()) == ""
    assert process.returncode == 0
    (job,) = dbtend("history", "--json").json["jobs"]
    assert job["status"] == "completed"


def test_live_lines_on_a_terminal_end_with_the_final_state(dbtend: CommandLine, sales: Path) -> None:
    terminal, far_end = pty.openpty()
    screen = {"TERM": "xterm", "NO_COLOR": "1"}
    with dbtend.start("run", sales, "--op", "analyze", stdout=far_end, environment=screen) as process:
        os.close(far_end)
        shown = "".join(chunks(terminal))
    assert process.returncode == 0
    last = shown.replace("\r\n", "\n").split("\x1b[2A")[-1].replace("\x1b[K", "").replace("\r", "").splitlines()
    assert last[0].startswith("✓ #1 sales.db  completed  1/1")
    assert last[1].startswith("   ✓ .1 analyze   completed in")
    assert last[2].startswith("#1 sales.db completed in")
    assert "\x1b[2J" not in shown


def test_on_a_terminal_the_answer_to_ctrl_c_stands_above_the_live_lines(dbtend: CommandLine, sales: Path) -> None:
    terminal, far_end = pty.openpty()
    screen = {"TERM": "xterm", "NO_COLOR": "1"}
    line = ("run", sales, "--op", "vacuum", "--lock-timeout", "600")
    with (
        write_locked(sales),
        dbtend.start(*line, stdout=far_end, stderr=far_end, environment=screen) as process,
    ):
        os.close(far_end)
        shown = ""
        for chunk in chunks(terminal):
            shown += chunk
            if shown.endswith("► .1 vacuum") and "safely" not in shown:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    before, _, after = shown.replace("\r\n", "\n").partition("dbtend: stopping safely; once more to leave at once\n")
    assert re.search(r"\x1b\[\dA\x1b\[J\Z", before)  # the live lines go first, with those on what it waits for
    assert after.startswith("\r")
    assert "■ .1 vacuum    cancelled" in after


def chunks(terminal: int) -> Iterator[str]:
    """What is shown until the other end is closed."""
    with open(terminal, encoding="utf-8", newline="") as reader, suppress(OSError):
        while chunk := reader.read(1):
            yield chunk


@pytest.mark.parametrize("line", ["--version", "--help", "run --help", "history", "doctor", "plan FILE", "run FILE"])
def test_headless_commands_do_not_import_textual(dbtend: CommandLine, sales: Path, line: str) -> None:
    check = (
        "import sys; from tui.cli import main; main(sys.argv[1:]);"
        "sys.exit(any(name.partition('.')[0] in ('textual', 'rich') for name in sys.modules))"
    )
    words = [str(sales) if word == "FILE" else word for word in line.split()]
    environment = {**os.environ, **dbtend.environment}
    subprocess.run([sys.executable, "-c", check, *words], env=environment, check=True, capture_output=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to stand for a full disk")
def test_output_that_cannot_be_written_does_not_stop_the_run(dbtend: CommandLine, sales: Path) -> None:
    with Path("/dev/full").open("w") as full, dbtend.start("run", sales, stdout=full.fileno()) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == FAILED
    assert err.startswith("dbtend: output: ")
    assert but_unchecked(err).endswith(f": {os.strerror(errno.ENOSPC)}\n")
    (job,) = dbtend("history", "--json").json["jobs"]
    assert job["status"] == "completed"


def without_output(dbtend: CommandLine, *words: str | Path) -> int:
    shell = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "tui.cli", *map(str, words)]
    return subprocess.run(shell, env={**os.environ, **dbtend.environment}, timeout=60).returncode


def test_a_closed_standard_output_does_not_stop_the_run(dbtend: CommandLine, sales: Path) -> None:
    for words in (("run", sales), ("run", sales, "--op", "analyze", "--quiet"), ("retry", "1")):
        assert without_output(dbtend, *words) == FAILED
    assert [job["status"] for job in dbtend("history", "--json").json["jobs"]] == ["completed"] * 3


def test_a_job_that_is_refused_keeps_its_exit_code_where_its_output_is_lost(dbtend: CommandLine, sales: Path) -> None:
    remove_index_entries(sales, "order")
    assert without_output(dbtend, "run", sales, "--op", "check", "--check", "full") == FAILED
    assert without_output(dbtend, "run", sales, "--op", "vacuum") == REFUSED
