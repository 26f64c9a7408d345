"""SQLite databases of other origin, from Debian packages: python -m benchmarks.foreign_databases [--dir DIRECTORY]

Coordinate systems, help of Qt and KDE, tables of input methods, stars: made by other programs and versions of SQLite.
They are unpacked once, and not installed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.sqlite_databases import default_directory

PACKAGES: Final = (
    *("proj-data", "qgis-common", "kstars-data", "cppreference-doc-en-qch"),
    *("qt6-base-doc", "qt6-charts-doc", "qt6-serialport-doc", "qtcharts5-doc", "qtgamepad5-doc", "qtlocation5-doc"),
    *("libkf6archive-doc", "libkf5coreaddons-doc", "ibus-libpinyin"),
    *(f"ibus-table-{name}" for name in ("wubi", "array30", "cangjie3", "cantonese", "quick5", "scj6", "stroke5")),
    *(f"ibus-table-{name}" for name in ("compose", "emoticon", "ipa-x-sampa", "latex")),
)
_HEADER: Final = b"SQLite format 3\0"


def foreign_databases() -> list[Path]:
    """The databases that are unpacked, or installed on this machine, the smallest first."""
    found = {*_databases_in(_directory(default_directory())), *_databases_in(Path("/usr/share"))}
    return sorted(found, key=lambda path: (path.stat().st_size, path))


def _directory(directory: Path) -> Path:
    return directory / "foreign"


def _databases_in(directory: Path) -> Iterator[Path]:
    for pattern in ("*.db", "*.qch", "*.sqlite"):
        for path in directory.rglob(pattern):
            if path.is_file() and not path.is_symlink() and _begins_as_one(path):
                yield path


def _begins_as_one(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, default=default_directory())
    directory = _directory(parser.parse_args().dir)
    for package in PACKAGES:
        place = directory / package
        if place.exists():
            continue
        with tempfile.TemporaryDirectory() as downloaded:
            if subprocess.run(["apt-get", "download", package], cwd=downloaded, check=False).returncode:
                print(f"{package} cannot be had here")
                continue
            (archive,) = Path(downloaded).glob("*.deb")
            unpacked = Path(downloaded) / "unpacked"
            subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
            place.mkdir(parents=True)
            for path in _databases_in(unpacked):
                shutil.copy(path, place / path.name)
    found = list(_databases_in(directory))
    print(f"{len(found)} databases, {sum(path.stat().st_size for path in found) / 1e6:,.0f} MB in {directory}")


if __name__ == "__main__":
    main()
