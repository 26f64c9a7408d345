"""A server for which a directory is a small file system of its own: other processes do not see it. Only root can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def on_a_small_disk(
    command: Sequence[str | Path], place: Path, size: str, as_user: Mapping[str, Any]
) -> Sequence[str | Path]:
    """Its command, with `place` as a file system of this size, such as `20m`. `as_user`: what its process is."""
    user, group = as_user["user"], as_user["group"]
    mount = f"mount -t tmpfs -o size={size},uid={user},mode=700 none {place}"
    drop = f"exec setpriv --reuid {user} --regid {group} --clear-groups"
    return ["unshare", "--mount", "sh", "-c", f'{mount} && {drop} "$@"', "sh", *command]
