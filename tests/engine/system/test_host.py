"""Which machine this is: for others that share a store with it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from engine.system import host
from engine.system.host import machine_id


def test_clones_of_one_image_and_containers_are_machines_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(machine: str, boot: str, namespace: str) -> str:
        for name, text in (("_IDS", machine), ("_BOOT", boot), ("_PROCESS_NUMBERS", namespace)):
            path = tmp_path / f"{name} {text}"
            if text:
                path.touch()
                path.write_text(f"{text}\n")
            monkeypatch.setattr(host, name, (path,) if name == "_IDS" else path)
        return machine_id()

    found = [identity("m", "b", "n"), identity("m", "c", "n"), identity("m", "b", "o"), identity("", "b", "n")]
    assert all(one != other for one, other in combinations(found, 2))
    assert identity("m", "b", "n") == found[0]
    assert identity("", "", "") == ""
