"""The file system of a path."""

from __future__ import annotations

import os

import pytest

from engine.system.mounts import Mount, is_local, is_local_and_unlayered, mount_of, parse_mounts

TEXT = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 /@home /home rw,relatime shared:7 master:1 - btrfs /dev/sdb rw,space_cache=v2,subvol=/@home
41 27 0:51 / /srv rw - tmpfs tmpfs rw,size=4k
42 41 8:17 / /srv rw - xfs /dev/sdb1 rw
43 27 0:52 / /mnt/two\040words\134x rw - overlay overlay rw,lowerdir=/a
a line from the future
"""


def test_a_mount_is_read_with_its_root_its_source_and_the_options_of_its_file_system() -> None:
    first, home, *_, words = parse_mounts(TEXT)
    assert first == Mount(os.makedev(254, 0), "/", "/", "ext4", frozenset({"rw", "discard"}), "/dev/vda")
    assert (home.root, home.kind, home.device) == ("/@home", "btrfs", os.makedev(0, 50))
    assert words.point == r"/mnt/two words\x"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a.db", "ext4"),
        ("/home", "btrfs"),
        ("/home/me/a.db", "btrfs"),
        ("/homeless/a.db", "ext4"),
        ("/srv/a.db", "xfs"),
        (r"/mnt/two words\x/a.db", "overlay"),
    ],
)
def test_a_path_lies_on_the_nearest_mount_above_and_the_last_where_two_are_the_same(path: str, kind: str) -> None:
    mount = mount_of(path, list(parse_mounts(TEXT)))
    assert mount is not None
    assert mount.kind == kind


@pytest.mark.parametrize(
    ("kind", "here", "in_one_place"),
    [("ext4", True, True), ("overlay", True, False), ("nfs4", False, False), ("fuse.sshfs", False, False)],
)
def test_where_a_file_lies_tells_who_may_use_it_unseen(
    monkeypatch: pytest.MonkeyPatch, kind: str, here: bool, in_one_place: bool
) -> None:
    mount = Mount(device=1, root="/", point="/", kind=kind, options=frozenset())
    monkeypatch.setattr("engine.system.mounts.mounts", lambda: (mount,))
    assert is_local("/a.db") is here
    assert is_local_and_unlayered("/a.db") is in_one_place


def test_without_mounts_nothing_is_known() -> None:
    assert mount_of("/a.db", []) is None
