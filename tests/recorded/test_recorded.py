"""What commands print, how they exit and what they send to servers is what is recorded beside this file.

`make recorded` records it anew and shows the differences: each must be one that is wanted.
"""

from __future__ import annotations

from contextlib import ExitStack
from difflib import unified_diff
from pathlib import Path
from typing import Final

import pytest

from tests import mysql_server, postgres_server
from tests.recorded.commands import Kind
from tests.recorded.databases import MAKERS
from tests.recorded.recorder import VERSION, Recorder

HERE: Final = Path(__file__).parent
HOME_LENGTH: Final = 66
"""Characters of the path of the home directory: where a text with a path is cut depends on it."""


def is_there(kind: Kind) -> bool:
    """The server that it needs."""
    if kind in {Kind.MARIADB, Kind.MYSQL}:
        return kind.value in {flavor.value for flavor in mysql_server.servers_found()}
    return kind is Kind.SQLITE or bool(postgres_server.servers_found())


@pytest.mark.parametrize("kind", list(Kind))
def test_each_command_does_what_is_recorded(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    if not is_there(kind):
        pytest.skip(f"no server for {kind}")
    base = tmp_path_factory.getbasetemp()
    home = base / kind.value.ljust(HOME_LENGTH - len(f"{base}/"), "-")
    home.mkdir(mode=0o700)
    with ExitStack() as end:
        now = dict(Recorder(kind, MAKERS[kind](home, end)).recordings())
    place = HERE / kind
    before = {path.stem: path.read_text() for path in place.glob("*.txt")}
    if request.config.option.update_snapshots:
        place.mkdir(exist_ok=True)
        for name in before.keys() - now.keys():
            (place / f"{name}.txt").unlink()
        for name, text in now.items():
            (place / f"{name}.txt").write_text(text)
        return
    if before[VERSION] != now[VERSION]:
        pytest.skip(f"this is {now[VERSION].strip()}, and recorded is {before[VERSION].strip()}")
    differences = [
        line
        for name in sorted(before | now)
        for line in unified_diff(
            before.get(name, "").splitlines(), now.get(name, "").splitlines(), f"recorded {name}", "now", lineterm=""
        )
    ]
    if differences:
        pytest.fail("\n".join(differences), pytrace=False)
