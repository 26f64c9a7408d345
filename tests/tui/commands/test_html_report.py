"""`dbtend report`: the page of a real store, opened in a real browser."""

from __future__ import annotations

import asyncio
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.system.clock import now
from engine.targets.sqlite.running import layout
from tests.browser import Browser, browser
from tests.sqlite_files import make_database, remove_index_entries
from tests.tui.command_line import CommandLine, command_line
from tui.presentation.exit_codes import FAILED, OK, USAGE

DAY = 86_400_000_000
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

SMALLEST = "Math.min(...[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height))"
"""Pixels of the smallest text in a chart."""
BESIDE_HEADS = """[...document.querySelectorAll('td > *')].filter(
    e => innerWidth < 880 && e.getBoundingClientRect().left < 100).map(e => e.textContent)"""
"""What stands on a phone where the names of columns are."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of dbtend after a night with a hostile name, a long one, and one that failed; with its report."""
    home = tmp_path_factory.mktemp("night")
    with command_line(home) as dbtend:
        report_of_a_night(dbtend, make_database(home / "sales.db", rows=400))
    return home


def report_of_a_night(dbtend: CommandLine, sales: Path) -> None:
    names = ["<img src=x onerror=document.title=666>", "a-very-long-name-without-any-blank" * 5, "other"]
    databases = [make_database(sales.with_name(f"{name}.db"), rows=400) for name in names]
    missing = sales.with_name("missing.db")
    for _ in range(2):
        assert dbtend("run", sales, *databases, missing, "--op", "vacuum", "--op", "analyze").code == FAILED
    dbtend("fleet", sales, *databases, missing)
    dbtend.configure(
        f'[targets.shop]\nurl = "{sales}"\nlabel = "<b>PROD</b>"\n[targets.all]\nurl = "{sales.parent}/*.db"\n'
        '[schedules.nightly]\ntargets = ["all"]\nstart = "0 22 * * *"\n'
    )
    file = sales.parent / "report.html"
    done = dbtend("report", "--since", "7d", "--html", file)
    assert (done.code, done.out, done.err) == (OK, "", "")


@pytest.fixture
def page(night: Path, tmp_path: Path) -> Path:
    """A copy of its report."""
    return Path(shutil.copy2(night / "report.html", tmp_path))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests."""
    with browser(tmp_path_factory.mktemp("browser") / "profile") as started:
        yield started


def test_it_says_what_happened(page: Path) -> None:
    text = page.read_text()
    assert re.search(r"<b>10</b>\s*jobs", text)
    assert "there is no such file" in text
    assert "&lt;img src=x" in text
    assert "nightly" in text
    assert "dbtend retry" in text
    assert re.search(r">b2<.*5 targets.*4 completed, 1 unreachable", text)
    assert stat.S_IMODE(page.stat().st_mode) == 0o640


def test_each_target_of_a_schedule_says_when_it_is_due_next(page: Path) -> None:
    assert len(re.findall(r"next \d{4}-\d\d-\d\d 22:00", page.read_text())) == 5


def test_a_browser_shows_it_on_a_phone_on_a_desk_and_printed(page: Path, found: Browser) -> None:
    found.open(page)
    assert found.requested == [page.as_uri()]
    assert found.complaints == []
    assert found.evaluate("document.title").startswith("dbtend report of ")
    assert found.evaluate("document.querySelectorAll('script, img, link, iframe').length") == 0
    assert found.evaluate("document.querySelectorAll('svg.bars').length") >= 1
    assert found.evaluate("[...document.querySelectorAll('h2')].map(e => e.textContent)")[:2] == [
        "What needs attention", "What ran"
    ]  # fmt: skip
    for width, has_cards in ((320, True), (390, True), (860, True), (900, False), (1200, False)):
        found.resize(width, 800, mobile=has_cards)
        assert found.evaluate(OVERFLOW) <= 0, width
        hidden = found.evaluate("getComputedStyle(document.querySelector('thead')).display === 'none'")
        assert hidden is has_cards
        assert found.evaluate(SMALLEST) >= 8, width
        assert found.evaluate(BESIDE_HEADS) == [], width
        assert found.screenshot().startswith(b"\x89PNG")
    printed = found.pdf()
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") <= 6


def test_it_draws_the_pages_of_a_file_before_and_after(
    dbtend: CommandLine, tmp_path: Path, found: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LONGEST", 600.0)
    database, file = make_database(tmp_path / "<b>large.db", rows=10_000), tmp_path / "r.html"
    assert dbtend("run", database, "--op", "vacuum").code == OK
    assert dbtend("report", "--html", file).code == OK
    (drawn,) = re.findall(r"<section>.*?</section>", file.read_text(), re.DOTALL)
    assert "&lt;b&gt;large.db" in drawn
    assert re.search(r"<figcaption>before .*<figcaption>after ", drawn)
    found.open(file)
    assert found.complaints == []
    for width in (320, 390, 1200):
        found.resize(width, 800, mobile=width < 500)
        assert found.evaluate(OVERFLOW) <= 0
    sides = "[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().top)"
    assert len(set(found.evaluate(sides))) == 1  # beside each other


def test_what_a_page_may_do_is_nothing(page: Path, found: Browser) -> None:
    """If a name were markup after all, the browser would still not run it."""
    broken = page.with_name("broken.html")
    broken.write_text(page.read_text().replace("<footer>", "<img src=x onerror=\"document.title='666'\"><footer>"))
    found.open(broken)
    assert found.evaluate("document.title").startswith("dbtend report of ")
    assert any("Content Security Policy" in text for text in found.complaints)


def test_its_own_style_applies_and_no_other(page: Path, found: Browser) -> None:
    other = page.with_name("other.html")
    other.write_text(
        page.read_text().replace("<footer>", "<style>h1 { display: none }</style><footer style='color: red'>")
    )
    found.open(other)
    assert found.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    assert found.evaluate("getComputedStyle(document.querySelector('h1')).display") == "block"
    assert found.evaluate("document.querySelector('footer').style.color") == ""


def test_a_store_that_is_not_there_has_an_empty_report(dbtend: CommandLine, tmp_path: Path) -> None:
    dbtend.configure('[schedules.nightly]\ntargets = ["/srv/*.db"]\nstart = "0 22 * * *"\n')
    assert dbtend("report", "--html", tmp_path / "r.html").code == OK
    assert "nightly" in (tmp_path / "r.html").read_text()
    assert "No job ran" in (tmp_path / "r.html").read_text()
    assert not dbtend.store.exists()


def test_a_job_is_in_the_report_of_the_time_in_which_it_ended(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    """What began on Sunday and failed on Monday would else be in neither week."""
    file = tmp_path / "r.html"

    async def submit(days_ago: int) -> None:
        async with Engine.open(dbtend.store, clock=lambda: now() - days_ago * DAY) as engine:
            await engine.submit([Request(target=str(sales), operations=(Operation.CHECK,))])

    asyncio.run(submit(5))
    assert dbtend("report", "--since", "1d", "--html", file).code == OK
    assert re.search(r"<b>1</b>\s*job<", file.read_text())  # it is still open
    assert dbtend("worker", "--idle-exit", "0").code == OK
    asyncio.run(submit(100))
    assert dbtend("report", "--since", "1d", "--html", file).code == OK
    assert re.search(r"<b>2</b>\s*jobs", file.read_text())
    assert re.search(r"<b>1</b>\s*completed", file.read_text())


def test_a_job_that_waited_for_months_is_in_the_report_of_the_day_on_which_it_ended(
    dbtend: CommandLine, sales: Path, tmp_path: Path
) -> None:
    file = tmp_path / "r.html"

    async def submit() -> None:
        async with Engine.open(dbtend.store, clock=lambda: now() - 100 * DAY) as engine:
            await engine.submit([Request(target=str(sales), operations=(Operation.CHECK,))])

    asyncio.run(submit())
    assert dbtend("worker", "--idle-exit", "0").code == OK
    assert dbtend("report", "--since", "1d", "--html", file).code == OK
    assert re.search(r"<b>1</b>\s*completed", file.read_text())


def test_older_jobs_are_not_in_it(night: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dbtend = CommandLine(night, monkeypatch)
    assert dbtend("report", "--since", "1m", "--html", page).code == OK
    assert dbtend("report", "--since", "2099-01-01", "--html", page).code == USAGE


@pytest.mark.parametrize(
    "words", [[], ["--html"], ["x.db", "--html", "r.html"], ["--html", "/no/such/directory/r.html"]]
)
def test_what_is_wrong_is_said_in_a_line(dbtend: CommandLine, words: list[str], tmp_path: Path) -> None:
    done = dbtend("report", *words)
    assert done.code == USAGE
    assert done.err.count("\n") == 1


def test_a_database_has_the_same_name_in_all_tables(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    alike = [f"postgresql://{user}@127.0.0.1:1/shop" for user in ("ann", "bob")]
    assert dbtend("run", sales, *alike, "--op", "analyze").code == FAILED
    file = tmp_path / "r.html"
    assert dbtend("report", "--html", file).code == OK
    page = file.read_text()
    assert ">shop (bob)@127.0.0.1:1<" in page
    assert ">shop@127.0.0.1:1<" not in page


def test_damage_that_a_check_found_after_the_survey_needs_attention(
    dbtend: CommandLine, sales: Path, tmp_path: Path
) -> None:
    surveyed, unseen = (make_database(sales.with_name(name), rows=500) for name in ("surveyed.db", "unseen.db"))
    dbtend("fleet", surveyed)
    for damaged in (surveyed, unseen):
        remove_index_entries(damaged, "order")
    assert dbtend("run", surveyed, unseen, "--op", "check", "--check", "full").code == FAILED
    file = tmp_path / "r.html"
    assert dbtend("report", "--html", file).code == OK
    page = file.read_text()
    assert re.search(r"<b>2</b>\s*critical or unreachable", page)
    critical = page.split("Critical and unreachable targets")[1].split("What failed, and why")[0]
    assert critical.count("damage found") == 2
    assert "surveyed.db" in critical
    assert "unseen.db" in critical
