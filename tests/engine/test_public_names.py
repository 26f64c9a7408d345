"""What `engine` offers is there, and imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import engine


@pytest.mark.parametrize("name", engine.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(engine, name).__module__.startswith("engine.") or name == "Facts"


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        engine.Nothing  # noqa: B018


def test_the_vocabulary_alone_opens_no_engine() -> None:
    code = "import sys; from engine import Status; sys.exit('engine.engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
