"""A config file that another user could change is refused: it names programs that dbtend runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.config.config_file import ConfigFile
from engine.domain.errors import ConfigError
from engine.system.private_files import exposure
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.two_users import NOBODY, as_nobody, needs_root, shared_directory
from tui.presentation.exit_codes import USAGE

COMMANDS = ("run sales", "plan sales", "worker --idle-exit 0", "notify ops --test", "schedules", "fleet",
            "advise", "prune --dry-run", "run sales --detach")  # fmt: skip
pytestmark = needs_root


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_directory(0o1777) as directory:
        yield directory


def text(directory: Path) -> str:
    """A config file whose recipient leaves a trace."""
    sales = make_database(directory / "sales.db", rows=5)
    command = f'["/usr/bin/touch", "{directory / "trace"}"]'
    return f'[targets.sales]\nurl = "{sales}"\n[notify.ops]\ncommand = {command}\nsettle = "0s"\nfrom_runs = true\n'


def of_another_user(config: Path, content: str) -> str:
    as_nobody(lambda: config.write_text(content))
    return f"{config}: belongs to nobody"


def writable_by_everybody(config: Path, content: str) -> str:
    config.write_text(content)
    config.chmod(0o646)
    return f"{config}: can be written by everybody"


def writable_by_a_group(config: Path, content: str) -> str:
    config.write_text(content)
    os.chown(config, 0, NOBODY)
    config.chmod(0o664)
    return f"{config}: can be written by group nogroup"


def in_a_directory_of_all(config: Path, content: str) -> str:
    config.write_text(content)
    config.parent.chmod(0o777)
    return f"{config.parent}: can be written by everybody"


def in_a_directory_of_another_user(config: Path, content: str) -> str:
    config.write_text(content)
    os.chown(config.parent, NOBODY, NOBODY)
    config.parent.chmod(0o755)
    return f"{config.parent}: belongs to nobody"


def behind_a_link_of_another_user(config: Path, content: str) -> str:
    config.with_name("own.toml").write_text(content)
    as_nobody(lambda: config.symlink_to("own.toml"))
    return f"{config}: belongs to nobody"


def behind_a_directory_of_all(config: Path, content: str) -> str:
    """The directory that the link leads to is sound."""
    own = config.parent / "own"
    own.mkdir(mode=0o755)
    (own / "config.toml").write_text(content)
    config.parent.chmod(0o777)
    config.symlink_to(own / "config.toml")
    return f"{config.parent}: can be written by everybody"


WAYS = (of_another_user, writable_by_everybody, writable_by_a_group, in_a_directory_of_all,
        in_a_directory_of_another_user, behind_a_link_of_another_user, behind_a_directory_of_all)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_another_user_could_change_is_refused_and_nothing_is_run(
    way: Callable[[Path, str], str], dbtend: CommandLine, shared: Path, tmp_path: Path
) -> None:
    said = way(shared / "config.toml", text(tmp_path))
    result = dbtend("run", "sales", "--config", shared / "config.toml")
    assert (result.code, result.out) == (USAGE, "")
    assert result.err.startswith(f"dbtend: {said}, who could change what dbtend runs (")
    assert result.err.count("\n") == 1
    assert not (tmp_path / "trace").exists()
    assert not dbtend.store.exists()
    doctor = dbtend("doctor", "--config", shared / "config.toml")
    assert doctor.code == 1
    assert said in doctor.out


@pytest.mark.parametrize(
    ("way", "hint"),
    [
        (of_another_user, "if you trust what is in it: chown root {config}"),
        (behind_a_link_of_another_user, "if you trust what is in it: chown -h root {config}"),
        (in_a_directory_of_another_user, "put the file into a directory of root"),
    ],
)
def test_the_hint_says_what_root_can_do(
    way: Callable[[Path, str], str], hint: str, dbtend: CommandLine, shared: Path, tmp_path: Path
) -> None:
    config = shared / "config.toml"
    way(config, text(tmp_path))
    assert dbtend("run", "sales", "--config", config).err.endswith(f" ({hint.format(config=config)})\n")


def test_the_hint_says_what_others_need_root_for(shared: Path) -> None:
    file = shared / "file"
    file.touch()
    os.chown(file, 54_321, -1)
    for user, by in (("root", ""), ("nobody", ", as root")):
        expected = f"if you trust what is in it{by}: chown {user} {file}"

        def check(expected: str = expected) -> None:
            found = exposure(file)
            assert found is not None
            assert found.fix == expected

        check() if user == "root" else as_nobody(check)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_says_so(line: str, dbtend: CommandLine, tmp_path: Path) -> None:
    dbtend.configure(text(tmp_path))
    config = dbtend.home / "config-home" / "dbtend" / "config.toml"
    config.chmod(0o606)
    result = dbtend(*line.split())
    assert (result.code, result.out) == (USAGE, "")
    assert result.err.startswith(f"dbtend: {config}: can be written by everybody")
    assert f"chmod o-w {config}" in result.err
    assert not (tmp_path / "trace").exists()


def test_a_file_of_ones_own_in_a_sticky_directory_is_read(dbtend: CommandLine, shared: Path, tmp_path: Path) -> None:
    (shared / "config.toml").write_text(text(tmp_path))
    assert dbtend("notify", "ops", "--test", "--config", shared / "config.toml").code == 0
    assert (tmp_path / "trace").exists()


def test_no_config_file_is_made_where_others_could_change_it(dbtend: CommandLine, shared: Path, tmp_path: Path) -> None:
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by everybody"):
        ConfigFile(shared / "config.toml").change(lambda _: text(tmp_path))
    assert list(shared.iterdir()) == []


def program(path: Path, trace: Path) -> Path:
    path.write_text(f"#!/bin/sh\ntouch '{trace}'\necho secret-of-the-program\n")
    path.chmod(0o777)
    return path


@pytest.mark.parametrize(
    "keys",
    [
        'command = ["PROGRAM"]',
        'command = ["sh", "PROGRAM"]',
        'webhook_command = ["PROGRAM"]',
        'webhook_file = "PROGRAM"',
        'webhook = "https://127.0.0.1:1"\ntoken_command = ["sh", "PROGRAM"]',
        'webhook = "https://127.0.0.1:1"\ntoken_file = "PROGRAM"',
    ],
)
def test_a_program_or_secret_of_a_recipient_that_others_could_change_is_not_used(
    keys: str, dbtend: CommandLine, tmp_path: Path
) -> None:
    path = program(tmp_path / "hook.sh", tmp_path / "trace")
    dbtend.configure(f"[notify.ops]\n{keys.replace('PROGRAM', str(path))}\n")
    result = dbtend("notify", "ops", "--test")
    assert result.code != 0
    assert f"{path} can be written by everybody" in result.out + result.err
    assert not (tmp_path / "trace").exists()
    assert f"chmod o-w {path}" in dbtend("doctor").out


def test_a_program_found_on_the_path_is_verified_where_it_lies(
    dbtend: CommandLine, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(shared / "hook", tmp_path / "trace").chmod(0o755)
    shared.chmod(0o777)
    monkeypatch.setenv("PATH", f"{shared}:{os.environ['PATH']}")
    dbtend.configure('[notify.ops]\ncommand = ["hook"]\n')
    assert f"{shared} can be written by everybody" in dbtend("notify", "ops", "--test").err
    assert not (tmp_path / "trace").exists()
