"""The name and label of the config file are seen wherever the command line names a target; its JSON stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.inspection.demo_database import build_demo_database
from tests.tui.command_line import CommandLine


@pytest.fixture
def labelled(dbtend: CommandLine, sales: Path) -> str:
    """The URL of a database that the config file labels."""
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\nlabel = "EU WEST"\n')
    return f"sqlite://{sales}"


@pytest.mark.parametrize("name", ["shop", "path"])
def test_a_target_goes_by_its_name_and_its_label_wherever_it_is_named(
    name: str, dbtend: CommandLine, sales: Path, labelled: str
) -> None:
    target = name if name == "shop" else str(sales)
    assert dbtend("plan", target, "--op", "analyze").out.startswith(f"{labelled} [EU WEST]  sqlite  ")
    assert dbtend("advise", target).out.startswith(f"{labelled} [EU WEST]\n")
    ran = dbtend("run", target, "--op", "analyze").out.splitlines()
    assert ran[0].startswith("#1.1 shop [EU WEST] ")
    assert ran[-1].startswith("#1 shop [EU WEST] ")
    shown = dbtend("show", "1").out.splitlines()
    assert shown[0].startswith("#1 shop [EU WEST] ")
    assert shown[1] == f"  target   {labelled} [EU WEST]"
    assert "  shop [EU WEST]  " in dbtend("history").out
    assert dbtend("cancel", "1").out.startswith("#1 shop [EU WEST] ")
    assert dbtend("pin", "1").out.startswith("#1 shop [EU WEST] ")
    assert "needs nothing" not in dbtend("run", target, "--op", "analyze", "--needed").out


def test_a_name_is_said_without_a_label_where_there_is_none(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"\n')
    assert dbtend("run", sales, "--op", "analyze").out.startswith("#1.1 shop analyze started")


def test_json_names_no_label(dbtend: CommandLine, labelled: str) -> None:
    dbtend("run", "shop", "--op", "analyze")
    for command in (("show", "1", "--json"), ("plan", "shop", "--json"), ("history", "--json")):
        (job,) = dbtend(*command).json["jobs"]
        assert job["target"] == labelled


def test_other_targets_and_a_config_that_is_wrong_by_now(dbtend: CommandLine, labelled: str, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    build_demo_database(other)
    assert dbtend("run", other, "--op", "analyze").out.startswith("#1.1 other.db analyze started")
    dbtend.configure("[targets")
    shown = dbtend("show", "1")
    assert (shown.code, shown.out.startswith("#1 other.db completed")) == (0, True)
