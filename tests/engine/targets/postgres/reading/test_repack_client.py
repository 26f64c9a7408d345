"""The client of pg_repack on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.targets.postgres.reading.repack_client import clients


def install(program: Path, version: str) -> None:
    """A new file each time, as a package does it. It counts how often it was asked."""
    new = program.with_suffix(".new")
    new.write_text(f"#!/bin/sh\necho x >>{program}.asked\necho pg_repack {version}\n")
    new.chmod(0o755)
    new.rename(program)


async def test_a_client_is_asked_for_its_version_once_and_again_after_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program, found = tmp_path / "pg_repack", list[str]()
    for version in ("1.5.2", "1.5.2", "1.5.3"):
        if version not in found:
            install(program, version)
        found += [client.version for client in await clients() if client.path == str(program)]
    assert found == ["1.5.2", "1.5.2", "1.5.3"]
    assert Path(f"{program}.asked").read_text() == "x\n" * 2
