"""Files of a database: whether they can be written, and what to do where they cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.domain.errors import TargetRefusedError
from engine.targets.sqlite.system.files import check_writable
from tests.sqlite_files import make_database


def test_an_immutable_file_is_refused_with_the_way_to_change_that(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db", rows=1)
    if os.geteuid() or subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        with pytest.raises(TargetRefusedError) as refused:
            check_writable(str(path))
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert refused.value.why == "the file cannot be written, though its mode allows that"
    assert "chattr -i" in refused.value.hint
