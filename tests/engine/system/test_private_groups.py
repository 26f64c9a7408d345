"""A group of one user alone is trusted with a file; a group of others is not."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.system.private_files import exposure
from tests.two_users import needs_root, shared_directory

ALICE, BOB = "dbtend-alice", "dbtend-bob"

pytestmark = [
    needs_root,
    pytest.mark.skipif(shutil.which("useradd") is None, reason="there is no useradd here"),
]


@pytest.fixture(scope="module", autouse=True)
def users() -> Iterator[None]:
    """Two users of this machine, each with a group of the same name."""
    for name in (ALICE, BOB):
        subprocess.run(["userdel", name], check=False, capture_output=True)  # a run that was killed leaves it
        subprocess.run(["useradd", "--system", "--no-create-home", "--user-group", name], check=True)
    try:
        yield
    finally:
        for name in (ALICE, BOB):
            subprocess.run(["userdel", name], check=False, capture_output=True)


def change(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def as_seen_by(name: str, path: Path) -> str:
    """What this user says of a file; "" where nobody else can change it."""
    user, (reading, writing) = pwd.getpwnam(name), os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(writing, str(exposure(path) or "").encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    assert os.waitpid(child, 0)[1] == 0
    return text


@pytest.fixture
def file() -> Iterator[Path]:
    """Of Alice, which her group can write."""
    with shared_directory(0o755) as directory:
        path = directory / "jobs.db"
        path.touch()
        alice = pwd.getpwnam(ALICE)
        os.chown(path, alice.pw_uid, alice.pw_gid)
        path.chmod(0o660)
        yield path


def test_a_group_of_ones_own_is_nobody_else(file: Path) -> None:
    assert as_seen_by(ALICE, file) == ""


def test_a_member_of_the_group_is_somebody_else(file: Path) -> None:
    change("gpasswd", "--add", BOB, ALICE)
    try:
        assert f"by group {ALICE}" in as_seen_by(ALICE, file)
    finally:
        change("gpasswd", "--delete", BOB, ALICE)


def test_who_has_the_group_for_his_own_is_somebody_else(file: Path) -> None:
    change("usermod", "--gid", ALICE, BOB)
    try:
        assert f"by group {ALICE}" in as_seen_by(ALICE, file)
    finally:
        change("usermod", "--gid", BOB, BOB)


def test_a_group_of_many_users_is_no_group_of_ones_own(file: Path) -> None:
    """Even where nobody is known to be in it: a directory service need not tell who is."""
    change("usermod", "--gid", "users", ALICE)
    try:
        os.chown(file, pwd.getpwnam(ALICE).pw_uid, grp.getgrnam("users").gr_gid)
        assert "by group users" in as_seen_by(ALICE, file)
    finally:
        change("usermod", "--gid", ALICE, ALICE)


def test_the_group_of_root_is_nobody_else(file: Path) -> None:
    os.chown(file, pwd.getpwnam(ALICE).pw_uid, 0)
    assert as_seen_by(ALICE, file) == ""


def test_the_group_of_another_user_is_somebody_else(file: Path) -> None:
    os.chown(file, pwd.getpwnam(ALICE).pw_uid, pwd.getpwnam(BOB).pw_gid)
    assert f"by group {BOB}" in as_seen_by(ALICE, file)


def test_all_users_are_never_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pwd, "getpwall")
    file.parent.chmod(0o775)
    assert exposure(file.parent) is None
