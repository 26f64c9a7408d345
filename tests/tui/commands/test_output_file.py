"""Files that commands write at once: what cannot be written is told in a line, and what is there stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.command_line import CommandLine
from tui.presentation.exit_codes import OK, USAGE

COMMANDS = pytest.mark.parametrize("command", [("report", "--html"), ("metrics", "--textfile")], ids=lambda c: c[0])


def there(directory: Path) -> list[tuple[str, int, int]]:
    """Names, files and sizes; a store in use has others beside it."""
    found = ((one.name, one.lstat()) for one in directory.iterdir())
    return sorted((name, status.st_ino, status.st_size) for name, status in found)


@COMMANDS
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("gone/x", "there is no directory "), ("file/x", "there is no directory "),
        ("directory", "cannot be written: Is a directory"),
        ("n" * 300, "cannot be written: File name too long"), ("store", "is a file of dbtend itself"),
        ("link to store", "is a file of dbtend itself"), ("config", "is a file of dbtend itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_an_error_in_a_line_and_changes_nothing(
    dbtend: CommandLine, sales: Path, tmp_path: Path, command: tuple[str, str], place: str, why: str
) -> None:
    dbtend.configure("[defaults]\nworkers = 1\n")
    assert dbtend("run", sales, "--op", "check").code == OK
    (tmp_path / "file").touch()
    (tmp_path / "directory" / "full").mkdir(parents=True)
    os.link(dbtend.store, tmp_path / "store")
    (tmp_path / "link to store").symlink_to(dbtend.store)
    os.link(dbtend.home / "config-home" / "dbtend" / "config.toml", tmp_path / "config")
    before = there(tmp_path)
    done = dbtend(*command, tmp_path / place)
    assert done.code == USAGE
    assert done.err.count("\n") == 1
    assert why in done.err
    assert there(tmp_path) == before
    assert dbtend("history").code == OK


@COMMANDS
@pytest.mark.parametrize("name", ["🦆" * 62, "a" * 255, " ", "-x", "a\nb", "\udcff"], ids=ascii)
def test_any_name_that_the_disk_takes_is_one(
    dbtend: CommandLine, tmp_path: Path, command: tuple[str, str], name: str
) -> None:
    directory = tmp_path / "out"
    directory.mkdir()
    assert dbtend(*command, directory / name).code == OK
    assert [one.name for one in directory.iterdir()] == [name]


@COMMANDS
def test_standard_output_is_written_to(dbtend: CommandLine, tmp_path: Path, command: tuple[str, str]) -> None:
    environment = {**os.environ, **dbtend.environment}
    called = [sys.executable, "-m", "tui.cli", *command, "/dev/stdout"]
    piped = subprocess.run(called, env=environment, capture_output=True, text=True, check=True).stdout
    file = tmp_path / "out"
    with file.open("w") as out:
        subprocess.run(called, env=environment, stdout=out, stderr=subprocess.DEVNULL, check=True)
    assert len(piped) > 500
    assert file.read_text().splitlines()[0] == piped.splitlines()[0]
    assert Path("/dev/stdout").is_symlink()


@COMMANDS
def test_rights_that_somebody_gave_stay(dbtend: CommandLine, tmp_path: Path, command: tuple[str, str]) -> None:
    file = tmp_path / "out"
    assert dbtend(*command, file).code == OK
    file.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(file, -1, 12345)
    before = file.stat()
    assert dbtend(*command, file).code == OK
    after = file.stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    assert after.st_ino != before.st_ino


@COMMANDS
def test_on_a_full_disk_the_old_file_stays(dbtend: CommandLine, tmp_path: Path, command: tuple[str, str]) -> None:
    file = tmp_path / "out"
    file.write_text("old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from tui.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, **dbtend.environment}
    called = [sys.executable, "-B", "-c", code, *command, str(file)]
    done = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == USAGE
    assert "cannot be written: File too large" in done.stderr
    assert file.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["out"]
