"""Config files, and the programs and secrets that they name, whose owners, modes and links are drawn at random.

Another user then tries to change what is read: whatever he can change must have been refused, and nothing run.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.attack.calls import called, faults, forked
from benchmarks.attack.directories import attack_directory

ATTACKER: Final = 65534
_FILES: Final = ("config.toml", "hook.sh", "secret")
_MODES: Final = (0o755, 0o755, 0o755, 0o775, 0o777, 0o1777, 0o757, 0o711)
_FILE_MODES: Final = (0o755, 0o755, 0o755, 0o775, 0o757, 0o700)
_RECIPIENTS: Final = (
    'command = ["{hook}"]',
    'command = ["/bin/sh", "{hook}"]',
    'webhook_command = ["{hook}"]',
    'webhook_file = "{secret}"',
)
_HOOK: Final = "#!/bin/sh\ntouch '{trace}'\n"


def attack(count: int, seed: int) -> Iterator[str]:
    """As root: it takes on another user."""
    with attack_directory() as directory:
        Path(directory).chmod(0o755)
        for number in range(count):
            dice = random.Random(seed * 1_000_003 + number)
            yield from _one(Path(directory) / str(number), dice)


def _one(home: Path, dice: random.Random) -> Iterator[str]:
    home.mkdir(mode=0o755)
    trace = home / "trace"
    places = {name: _place(home / name, dice) for name in _FILES}
    text = dice.choice(_RECIPIENTS).format(hook=places["hook.sh"], secret=places["secret"])
    places["config.toml"].write_text(f"[notify.ops]\n{text}\n")
    places["hook.sh"].write_text(_HOOK.format(trace=trace))
    places["secret"].write_text("https://127.0.0.1:9/secret77\n")
    for path in places.values():
        _expose(path, home, dice)
    argv = ["notify", "ops", "--test", "--config", str(places["config.toml"])]
    said = called(argv, home / "caller")
    is_refused = "who could change what dbtend runs" in said.out + said.err
    used = [name for name in _FILES if name == "config.toml" or _names(text, places[name])]
    told = f"{text} with {', '.join(_described(places[name], home) for name in used)}"
    yield from (f"{told}: {fault}" for fault in faults(argv, said, ["secret77"]))
    if is_refused and trace.exists():
        yield f"{told}: refused, and run: {said.err}"
    if not is_refused and (changed := _changed_by_attacker([places[name] for name in used])):
        yield f"{told}: accepted, and another user can change {changed}"
    shutil.rmtree(home)


def _names(text: str, path: Path) -> bool:
    return str(path) in text


def _place(top: Path, dice: random.Random) -> Path:
    """Where a file lies: below directories, behind links of the file and of a directory."""
    directory = top / "a" / "b"
    directory.mkdir(parents=True)
    match dice.randrange(4):
        case 0:
            (top / "link").symlink_to("a/b")
            return top / "link" / top.name
        case 1:
            (top / "beside").mkdir()
            (top / "beside" / top.name).touch()
            (directory / top.name).symlink_to(f"../../beside/{top.name}")
    return directory / top.name


def _expose(path: Path, home: Path, dice: random.Random) -> None:
    """Nearly all is sound, so that what is not is not hidden by another fault."""
    below = home / path.relative_to(home).parts[0]
    for place in (below, *sorted(below.rglob("*"))):
        if dice.random() < 0.1:
            os.chown(place, dice.choice((0, ATTACKER)), dice.choice((0, ATTACKER)), follow_symlinks=False)
        if not place.is_symlink():
            modes: Sequence[int] = _MODES if place.is_dir() else _FILE_MODES
            place.chmod(dice.choice(modes) if dice.random() < 0.2 else 0o755)


def _described(path: Path, home: Path) -> str:
    below = home / path.relative_to(home).parts[0]
    places = [below, *sorted(below.rglob("*"))]
    return "; ".join(f"{place.relative_to(home)} {place.lstat().st_uid} {place.lstat().st_mode:o}" for place in places)


def _changed_by_attacker(paths: Sequence[Path]) -> str:
    """The first path whose content another user can change, by writing, replacing or renaming what leads to it."""

    def work() -> int:
        os.setgroups([])
        os.setgid(ATTACKER)
        os.setuid(ATTACKER)
        for path in paths:
            way = [path, Path(os.path.realpath(path)), *path.parents[:3], *Path(os.path.realpath(path)).parents[:3]]
            for place in way:
                with suppress(OSError):
                    place.chmod(0o777)
            for place in way:
                if place.is_dir():
                    with suppress(OSError):
                        place.rename(f"{place}.gone")
                        path.parent.mkdir(parents=True)
                else:
                    with suppress(OSError):
                        place.write_text("changed")
                    with suppress(OSError):
                        place.unlink()
            with suppress(OSError):
                path.write_text("changed")
        return 0

    before = {path: path.read_bytes() for path in paths}
    forked(work)
    return next((str(path) for path in paths if not path.exists() or path.read_bytes() != before[path]), "")
