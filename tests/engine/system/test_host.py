"""Which machine this is: for others that share a store with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.system import host
from engine.system.host import machine_id


def test_clones_of_one_image_differ_in_their_start_and_containers_in_their_processes(
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

    first, clone, container = (identity("m", *more).split("/") for more in (("b", "n"), ("c", "n"), ("b", "o")))
    assert "" not in first
    assert (clone[0], container[:2]) == (first[0], first[:2])
    assert clone[1] != first[1]
    assert container[2] != first[2]
    assert identity("", "b", "") == f"/{first[1]}/"
