"""What is named and is not there, or is written in another way, or cannot be written to: a sentence, an exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tui.commands.command_table import COMMANDS as TABLE
from tui.presentation.exit_codes import FAILED, OK, USAGE

COMMANDS = ("history", "workers", "plan {sales}", "advise {sales}", "schedules", "show 1", "notify", "metrics")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to stand for a full disk")


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=5)


def code_of(dbtend: CommandLine, shell: str, *words: str | Path) -> int:
    command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "tui.cli", *map(str, words)]
    environment = {**os.environ, **dbtend.environment}
    return subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, timeout=60).returncode


@pytest.mark.parametrize("shell", [">&-", pytest.param(">/dev/full", marks=needs_full)])
@pytest.mark.parametrize(
    "line", ["history --json", "run {sales} --op analyze --json", "schedules --json", "plan {sales}"]
)
def test_a_result_that_cannot_be_written_is_a_failure(line: str, shell: str, dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure('[schedules.n]\ntargets = ["/x"]\noperations = ["check"]\nstart = "0 1 * * *"\n')
    assert code_of(dbtend, shell, *line.format(sales=sales).split()) == FAILED


WORDS = {
    **dict.fromkeys(("plan", "run", "advise", "map"), "{sales}"),
    **dict.fromkeys(("show", "cancel", "retry", "pin", "unpin"), "1"),
    "notify": "ops --test",
    "completion": "bash",
}
WITHOUT_A_RESULT = {"worker", "report", "store", "workers"}
"""Of an embedded store; as text, where no worker is."""


@pytest.mark.parametrize("flags", [os.O_RDONLY, pytest.param(os.O_WRONLY, marks=needs_full)], ids=["closed", "full"])
@pytest.mark.parametrize(
    "line",
    [
        "workers --json",
        *(
            f"{name}{as_json}"
            for name, command in TABLE.items()
            for as_json in ("", " --json")
            if name not in WITHOUT_A_RESULT and (not as_json or "--json" in {each.name for each in command.options})
        ),
    ],
)
def test_every_command_that_cannot_write_its_result_fails_and_says_so_once(
    line: str, flags: int, dbtend: CommandLine, sales: Path
) -> None:
    dbtend.configure(
        f'[targets.a]\nurl = "{sales}"\n[notify.ops]\ncommand = ["true"]\n'
        '[schedules.n]\ntargets = ["a"]\noperations = ["check"]\nstart = "0 1 * * *"\n'
    )
    dbtend("run", sales, "--op", "optimize")
    command, *options = line.split()
    stdout = os.open("/dev/full" if flags == os.O_WRONLY else os.devnull, flags)
    try:
        with dbtend.start(
            command, *WORDS.get(command, "").format(sales=sales).split(), *options, stdout=stdout
        ) as process:
            _, err = process.communicate(timeout=60)
    finally:
        os.close(stdout)
    assert process.returncode == FAILED
    assert err.count("dbtend: output: cannot be written: ") == 1
    assert all(text.startswith("dbtend: ") for text in err.splitlines())


@pytest.mark.parametrize("line", COMMANDS)
def test_a_config_file_that_does_not_exist_is_an_error(line: str, dbtend: CommandLine, sales: Path) -> None:
    done = dbtend(*line.format(sales=sales).split(), "--config", sales.with_name("none.toml"))
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert "there is no such config file" in done.err


@pytest.mark.parametrize("line", [*COMMANDS[:-1], "fleet", "report --html {sales}.html", "run {sales} --op analyze"])
@pytest.mark.parametrize("content", [None, "[x\n"], ids=["directory", "broken"])
def test_a_named_config_file_that_cannot_be_read_is_an_error(
    content: str | None, line: str, dbtend: CommandLine, sales: Path
) -> None:
    dbtend("run", sales, "--op", "optimize")
    config = sales.with_name("odd.toml")
    config.mkdir() if content is None else config.write_text(content)
    done = dbtend(*line.format(sales=sales).split(), "--config", config)
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert done.err.startswith(f"dbtend: {config}")


@pytest.mark.parametrize("line", ["plan {sales}", "plan {sales} --json", "advise {sales}"])
def test_a_directory_that_is_named_as_the_store_is_an_error(line: str, dbtend: CommandLine, sales: Path) -> None:
    done = dbtend(*line.format(sales=sales).split(), "--store", sales.parent)
    assert (done.code, done.err.count("\n")) == (USAGE, 1)
    assert done.err.startswith(f"dbtend: {sales.parent}: is a directory")


def test_the_doctor_finds_that_a_named_store_is_not_there(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("doctor").code == OK
    checks = dbtend("doctor", "--store", sales.with_name("none"), "--json")
    assert checks.code == FAILED
    assert [one["level"] for one in checks.json["checks"] if one["what"] == "store"] == ["problem"]


@pytest.mark.parametrize(
    "line",
    ["history", "history --json", "workers", "fleet {sales}", "metrics", "report --html {sales}.html", "schedules"],
)
def test_a_store_that_does_not_exist_is_an_error_where_it_is_named(line: str, dbtend: CommandLine, sales: Path) -> None:
    words = line.format(sales=sales).split()
    done = dbtend(*words, "--store", dbtend.home / "none.db")
    assert done.code == USAGE
    assert done.err.count("\n") == 1
    assert "there is no such store" in done.err
    assert not (dbtend.home / "none.db").exists()
    assert dbtend(*words).code == OK


@pytest.mark.parametrize("command", ["plan", "run", "advise", "fleet", "map"])
@pytest.mark.parametrize("how", ["file:{}", "file://{}", "FILE:{}?mode=ro", "file:sales.db"])
def test_a_uri_of_sqlite_is_refused_in_a_sentence(how: str, command: str, dbtend: CommandLine, sales: Path) -> None:
    done = dbtend(command, how.format(sales))
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert "internal error" not in done.err


def test_a_uri_is_no_store(dbtend: CommandLine) -> None:
    assert dbtend("history", "--store", f"file:{dbtend.store}").code == USAGE


@pytest.mark.parametrize("section", ["[targets.a]\nurl = '/x'\n", "[store]\nurl = '/x/jobs.db'\n"])
def test_a_byte_order_mark_is_named(section: str, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBTEND_STORE")
    dbtend.configure("\ufeff" + section)
    done = dbtend("plan", "a")
    assert (done.code, done.err.count("\n")) == (USAGE, 1)
    assert "byte order mark" in done.err


@pytest.mark.parametrize(
    "line", ["plan", "plan --json", "run --op analyze --json", "advise --json", "map --json", "fleet --json"]
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_file_name_that_is_no_utf_8(line: str, dbtend: CommandLine, tmp_path: Path, *, exists: bool) -> None:
    path = tmp_path / os.fsdecode(b"x\xff.db")
    if exists:
        make_database(path, rows=5)
    command, *options = line.split()
    done = dbtend.process(command, path, *options)
    assert "internal error" not in done.err
    if "--json" in options:
        json.dumps(done.json, ensure_ascii=False).encode()


def test_a_path_in_json_leads_back_to_the_bytes_of_its_name(dbtend: CommandLine, sales: Path) -> None:
    copy = os.fsencode(sales.parent) + b"/\xe9\xff.db"
    done = dbtend.process("run", sales, "--op", "backup", "--backup-to", os.fsdecode(copy), "--json")
    ((child,),) = (job["children"] for job in done.json["jobs"])
    shown = child["after"]["backup"]
    assert re.sub(rb"\\udc(..)", lambda found: bytes.fromhex(found[1].decode()), shown.encode()) == copy
    assert Path(os.fsdecode(copy)).exists()


def test_a_long_name_hides_no_column_of_a_terminal(
    dbtend: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "n" * 180):
        dbtend("run", make_database(tmp_path / f"{name}.db", rows=5), "--op", "analyze")
    assert "n" * 180 in dbtend("history").out
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = dbtend("history").out.splitlines()
    assert all("completed" in line[:90] for line in lines[1:])
    assert "nn.db" in lines[1]
