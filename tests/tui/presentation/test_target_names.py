"""What targets are called, and that a label is seen wherever one is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine import JobId
from engine.config.model import Config, TargetEntry
from tests.tui.jobs import parent
from tui.commands.report import history_table
from tui.commands.targets import target_entries
from tui.console.views.detail import detail_lines
from tui.console.views.history import columns, history_row
from tui.console.views.job_document import job_document
from tui.console.views.line import Line, Role, line, named, named_column, with_labels
from tui.console.views.lists import TargetState, target_rows
from tui.console.views.rows import tree_rows
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.plain_names import PlainNames
from tui.presentation.target_names import TargetName, TargetNames
from tui.presentation.text import target_name

PROD = TargetEntry(name="sales", url="/srv/sales.db", label="PROD")


def test_a_target_goes_by_the_name_and_the_label_of_the_config_wherever_its_url_comes_from(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "sales.db")
    config = replace(PROD, url=str(tmp_path / "sales.db"))
    given = TargetEntry(name="link.db", url=str(tmp_path / "link.db"))
    names = TargetNames(CanonicalUrls(), [config], [given])
    assert names.of(f"sqlite://{tmp_path}/sales.db") == "link.db [PROD]"
    assert names.of(given.url) == "link.db [PROD]"
    assert names.of("sqlite:///srv/an%20other.db") == "an other.db"
    assert names.given("sqlite:///srv/an%20other.db") is None
    assert names.tags == {"[PROD]"}


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["mysql://ann@db1/shop", "mysql://bob@db1/shop"], ["shop (ann)@db1", "shop (bob)@db1"]),
        (["postgresql://db1/shop", "postgresql://bob@db1/shop"], ["shop (no user)@db1", "shop (bob)@db1"]),
        (["mysql://a@h/x?socket=/a", "mysql://a@h/x"], ["x (socket=/a)@h", "x (no parameters)@h"]),
        (["mysql://a@h/x?socket=/d/my1/s&z=1", "mysql://a@h/x?z=1&socket=/d/my3/s"], ["x (my1)@h", "x (my3)@h"]),
        (["mysql://a@h/x?socket=/d/s", "mysql://a@h/x?socket=/s"], ["x (d)@h", "x (/s)@h"]),
        (
            [f"mysql://{user}@h/x?socket=/d/{server}/s" for user, server in ("am", "aq", "bq")],
            ["x (a m)@h", "x (a q)@h", "x (b q)@h"],
        ),
        (["mysql://a@db1/x", "mariadb://a@db1/x"], ["x (mysql://a@db1/x)@db1", "x (mariadb://a@db1/x)@db1"]),
        (["mysql://a@db1/x", "mysql://a@db2/x", "mysql://a@db1/y"], ["x@db1", "x@db2", "y@db1"]),
        (["sqlite:///a/x.db", "sqlite:///b/x.db"], ["x.db", "x.db"]),
        (["mysql://a@[db1/x", "mysql://b@[db1/x"], ["mysql", "mysql"]),
    ],
)  # fmt: skip
def test_databases_of_one_name_are_told_apart_by_what_differs(urls: list[str], names: list[str]) -> None:
    plain, known = PlainNames(urls), TargetNames(CanonicalUrls())
    assert [plain.of(url) for url in urls] == names
    for _ in range(2):
        seen = [known.of(url) for url in urls]
    assert seen == names


def test_a_list_of_jobs_tells_two_users_of_one_database_apart() -> None:
    jobs = [replace(parent(), request=replace(parent().request, target=f"mysql://{user}@db1/shop")) for user in "ab"]
    _, *rows = history_table(jobs)
    assert ["shop (a)@db1" in rows[0], "shop (b)@db1" in rows[1]] == [True, True]
    entries = target_entries([job.target for job in jobs], Config())
    assert [entry.name for entry in entries] == ["shop (a)@db1", "shop (b)@db1"]


def test_the_usual_port_is_that_of_the_engine() -> None:
    assert [target_name(f"{scheme}://h:{port}/x") for scheme in ("mysql", "postgresql") for port in (3306, 5432)] == [
        "x@h", "x@h:5432", "x@h:3306", "x@h",
    ]  # fmt: skip


def test_what_names_no_database_keeps_its_name() -> None:
    odd = TargetEntry(name="pg", url="postgresql://db1/x", label="QA")
    assert TargetNames(CanonicalUrls(), [odd]).of(odd.url) == "pg [QA]"


def test_a_label_is_harmless_short_and_in_one_piece() -> None:
    assert TargetName("a", "x\x1b[2J").tag == r"[x\x1b[2J]"
    assert cell_len(TargetName("a", "PROD" * 30).tag) == 18
    assert TargetName("a", "EU WEST").tag.split() == ["[EU", "WEST]"]
    assert TargetName("a", "EU WEST") == "a [EU\N{NO-BREAK SPACE}WEST]"
    assert with_labels([Line()], frozenset()) == [Line()]


@pytest.mark.parametrize(("width", "text"), [(20, "sales [PROD]        "), (10, "s…s [PROD]"), (8, "sales   ")])
def test_the_name_gives_way_before_the_label(width: int, text: str) -> None:
    shown = named_column(TargetName.of(PROD), width)
    assert "".join(part for part, _ in shown) == text
    assert named(TargetName.of(PROD)) == (("sales", Role.STRONG), (" [PROD]", Role.LABEL))
    assert named("sales") == (("sales", Role.STRONG),)


def test_a_label_is_shown_in_every_row_that_names_its_target() -> None:
    job, name = parent(), TargetName.of(PROD)
    for first in (
        tree_rows(job, name, expanded=False, show_all=False, now=0, width=52)[0],
        history_row(job, name, columns(5, cell_len(name), 78), now=0),
        detail_lines(job, JobId(42), name, now=0, width=52)[0],
        job_document(job, name, now=0, width=78)[0],
        detail_lines(job, JobId(42), TargetName.of(replace(PROD, name="a very long name " * 5)), now=0, width=52)[0],
        target_rows({0: TargetState(replace(PROD, name="a very long name " * 3))}, 0, 27)[0],
    ):
        assert ("[PROD]", Role.LABEL) in {(text.strip(), role) for text, role in first.spans}, first.text
        assert cell_len(first.text) <= 78


def test_a_label_in_a_sentence_is_shown_as_one() -> None:
    (shown,) = with_labels([line("Cancel #4 on sales [PROD] and all?", key=3)], {"[PROD]", "[QA]"})
    assert shown == Line((("Cancel #4 on sales ", Role.TEXT), ("[PROD]", Role.LABEL), (" and all?", Role.TEXT)), 3)
