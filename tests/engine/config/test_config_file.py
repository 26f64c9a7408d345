"""The config file on disk: changed whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from engine.config import config_file
from engine.config.config_file import ATTEMPTS, ConfigFile
from engine.config.editor import with_target
from engine.config.model import TargetEntry
from engine.domain.errors import ConfigError


def adding(name: str) -> partial[str]:
    return partial(with_target, entry=TargetEntry(name=name, url=f"/srv/{name}.db"), file="config.toml")


def add(file: ConfigFile, name: str) -> list[str]:
    """The names of the targets after one was added."""
    return [entry.name for entry in file.change(adding(name)).targets]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_new_file_comes_with_its_directory_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "dbtend" / "config.toml"
    file = ConfigFile(path)
    assert not file.load().targets
    assert add(file, "sales") == ["sales"]
    assert path.read_text() == '[targets.sales]\nurl = "/srv/sales.db"\n'
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert file.load().targets == (TargetEntry(name="sales", url="/srv/sales.db"),)


def test_the_mode_stays_and_nothing_is_left_beside(path: Path) -> None:
    path.write_text("# ours\r\n", newline="")
    path.chmod(0o640)
    add(ConfigFile(path), "sales")
    assert mode(path) == 0o640
    assert path.read_bytes().startswith(b"# ours\r\n\r\n[targets.sales]\r\n")
    assert [beside.name for beside in path.parent.iterdir()] == ["config.toml"]


def test_a_link_stays_a_link(path: Path) -> None:
    real = path.parent / "dotfiles" / "dbtend.toml"
    real.parent.mkdir()
    path.symlink_to(real)  # to nothing yet
    for name in ("sales", "app"):
        add(ConfigFile(path), name)
        assert path.is_symlink()
        assert f"[targets.{name}]" in real.read_text()


def test_what_somebody_else_wrote_meanwhile_is_kept(path: Path) -> None:
    path.write_text("# ours\n")
    seen: list[str] = []

    def edit(text: str) -> str:
        if not seen:
            path.write_text("# ours\n# and theirs\n")
        seen.append(text)
        return adding("sales")(text)

    ConfigFile(path).change(edit)
    assert seen == ["# ours\n", "# ours\n# and theirs\n"]
    assert path.read_text().startswith("# ours\n# and theirs\n\n[targets.sales]\n")


def test_a_file_that_appears_meanwhile_is_not_overwritten(path: Path) -> None:
    def edit(text: str) -> str:
        if not text:
            path.write_text("# theirs\n")
        return adding("sales")(text)

    ConfigFile(path).change(edit)
    assert path.read_text().startswith("# theirs\n")


def test_a_file_that_never_rests_is_left_alone(path: Path) -> None:
    seen: list[str] = []

    def edit(text: str) -> str:
        seen.append(text)
        path.write_text(f"# {len(seen)}\n")
        return adding("sales")(text)

    with pytest.raises(ConfigError, match="all the time"):
        ConfigFile(path).change(edit)
    assert len(seen) == ATTEMPTS
    assert [beside.name for beside in path.parent.iterdir()] == ["config.toml"]
    assert path.read_text() == f"# {ATTEMPTS}\n"


@pytest.mark.parametrize(("content", "why"), [(b"[targets", "line 1"), (b"\xff", "is not UTF-8 text")])
def test_a_wrong_file_is_never_written_to(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        ConfigFile(path).change(adding("sales"))
    assert path.read_bytes() == content


def test_what_says_something_wrong_is_never_written(path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        ConfigFile(path).change(lambda text: "[target.x]\n")
    assert not path.exists()


def test_what_is_no_text_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="valid text only"):
        ConfigFile(path).change(adding("\udcff"))
    assert not path.exists()


def test_where_nothing_can_be_written_that_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="nothing was changed"):
        ConfigFile(tmp_path / "file" / "config.toml").change(adding("sales"))
    with pytest.raises(ConfigError, match="Is a directory"):
        ConfigFile(tmp_path).change(adding("sales"))


def test_no_space_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("# ours\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=os.strerror(errno.ENOSPC)):
        ConfigFile(path).change(adding("sales"))
    assert path.read_text() == "# ours\n"
    assert [beside.name for beside in path.parent.iterdir()] == ["config.toml"]


def test_two_at_once_lose_nothing(path: Path) -> None:
    """Threads here and another process, each with targets of its own."""
    script = (
        "import sys; from pathlib import Path; from tests.engine.config.test_config_file import ConfigFile, add\n"
        "for n in range(10): add(ConfigFile(Path(sys.argv[1])), f'other-{n}')"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[3])

    def add_ten(number: int) -> None:
        for n in range(10):
            add(ConfigFile(path), f"{number}-{n}")

    threads = [threading.Thread(target=add_ten, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait() == 0
    assert len(ConfigFile(path).load().targets) == 30


def test_r32_a_directory_that_another_program_keeps_locked_is_waited_for_only_so_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_file, "LOCKED_WITHIN", 0.05)
    path.write_text("# ours\n")
    held = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        with pytest.raises(ConfigError, match="another program has locked its directory"):
            ConfigFile(path).change(adding("sales"))
    finally:
        os.close(held)
    assert path.read_text() == "# ours\n"
    add(ConfigFile(path), "sales")
