"""Changes to the text of a config file: they change only the lines that they must."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from textwrap import dedent

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from engine.config.editor import with_target, with_theme, without_target
from engine.config.model import TargetEntry
from engine.config.parser import parse_config
from engine.domain.errors import ConfigError
from engine.domain.requests import OnFailure, Operation

FILE = "config.toml"
NEW = TargetEntry(name="new", url="/srv/new.db")

CONFIG = dedent(
    """\
    # How we tend our databases.

    # the shop; never by day
    [targets.sales]
    url = "/srv/sales.db"  # on the fast disk
    label = 'PROD'
    on_failure = "stop"
    # check = "full"

    # about the application
    [targets.app]
      url = "sqlite:///srv/app.db"
      operations = [
        "vacuum",  # first
        "analyze",
      ]

    # for all of them
    [defaults]
    jobs = 2
    """
)


def entries(text: str) -> dict[str, TargetEntry]:
    return {entry.name: entry for entry in parse_config(text, FILE).targets}


SALES, APP = entries(CONFIG).values()


def test_a_new_target_comes_below_those_that_are_there() -> None:
    new = replace(NEW, label="TEST", operations=(Operation.VACUUM, Operation.CHECK))
    added = '\n[targets.new]\nurl = "/srv/new.db"\nlabel = "TEST"\noperations = ["vacuum", "check"]\n'
    assert with_target(CONFIG, new, file=FILE) == CONFIG.replace("  ]\n", "  ]\n" + added)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '[targets.new]\nurl = "/srv/new.db"\n'),
        ("# ours", '# ours\n\n[targets.new]\nurl = "/srv/new.db"\n'),
        ("[defaults]\njobs = 2\n\n", '[defaults]\njobs = 2\n\n[targets.new]\nurl = "/srv/new.db"\n'),
        ("[defaults]\r\njobs = 2\r\n", '[defaults]\r\njobs = 2\r\n\r\n[targets.new]\r\nurl = "/srv/new.db"\r\n'),
        (
            '[targets.a]\nurl = "x"\n# of all\n[defaults]\n',
            '[targets.a]\nurl = "x"\n\n[targets.new]\nurl = "/srv/new.db"\n\n# of all\n[defaults]\n',
        ),
        ('targets.a.url = "x"\n', 'targets.a.url = "x"\n\n[targets.new]\nurl = "/srv/new.db"\n'),
        (
            '[targets]\na = { url = "x" }\n[defaults]\n',
            '[targets]\na = { url = "x" }\n\n[targets.new]\nurl = "/srv/new.db"\n\n[defaults]\n',
        ),
    ],
)
def test_a_target_is_added_to_whatever_there_is(text: str, expected: str) -> None:
    assert with_target(text, NEW, file=FILE) == expected


def test_a_value_changes_beside_its_comment() -> None:
    assert with_target(CONFIG, replace(SALES, url="/new/place.db"), was=SALES, file=FILE) == CONFIG.replace(
        "/srv/sales.db", "/new/place.db"
    )


def test_values_come_and_go() -> None:
    changed = replace(SALES, label=None, operations=(Operation.CHECK,))
    assert with_target(CONFIG, changed, was=SALES, file=FILE) == CONFIG.replace("label = 'PROD'\n", "").replace(
        'on_failure = "stop"\n', 'on_failure = "stop"\noperations = ["check"]\n'
    )


def test_operations_of_several_lines_are_written_anew() -> None:
    changed = with_target(CONFIG, replace(APP, operations=(Operation.REINDEX,)), was=APP, file=FILE)
    assert '  operations = ["reindex"]\n\n# for all of them\n' in changed


def test_another_name_for_a_target() -> None:
    text = CONFIG.replace("[targets.app]", "[ targets . 'app' ] # ours")
    changed = with_target(text, replace(APP, name="the app"), was=APP, file=FILE)
    assert changed == CONFIG.replace("[targets.app]", '[targets."the app"] # ours')


def test_what_is_not_changed_is_not_written_anew() -> None:
    text = "[targets.a]\nurl = \"~/a.db\"\nlabel = '''x'''\n"
    (a,) = entries(text).values()
    assert with_target(text, a, was=a, file=FILE) == text
    assert '"~/a.db"' in with_target(text, replace(a, label="y"), was=a, file=FILE)
    assert '"~/b.db"' in with_target(text, replace(a, url="~/b.db"), was=a, file=FILE)


def test_a_target_goes_with_what_is_said_of_it_and_no_more() -> None:
    head, shop, app, rest = CONFIG.split("\n\n")
    without_shop = without_target(CONFIG, SALES, file=FILE)
    assert without_shop == f"{head}\n\n{app}\n\n{rest}"
    assert without_target(CONFIG, APP, file=FILE) == f"{head}\n\n{shop}\n\n{rest}"
    top = '# our config\n[targets.a]\nurl = "x"\n'
    assert without_target(top, entries(top)["a"], file=FILE) == "# our config\n"


@pytest.mark.parametrize(
    "text",
    [
        'targets.a.url = "x"\ntargets.a.jobs = 3\n# c\n[defaults]\n',
        '[targets]\na = { url = "x", jobs = 3 }  # c\nb.url = "y"\n[defaults]\n',
        '[targets]\na.url = "x"\na.jobs = 3\n[targets.b]\nurl = "y"\n',
    ],
)
def test_a_target_that_is_written_in_another_way_becomes_a_section(text: str) -> None:
    a = entries(text)["a"]
    changed = with_target(text, replace(a, name="z", label="L"), was=a, file=FILE)
    assert '\n[targets.z]\nurl = "x"\njobs = 3\nlabel = "L"\n' in "\n" + changed
    assert set(entries(without_target(text, a, file=FILE))) == set(entries(text)) - {"a"}


def test_what_cannot_be_changed_in_place_is_refused() -> None:
    text = 'targets = { a = { url = "x" } }\n'
    with pytest.raises(ConfigError, match="in an editor"):
        with_target(text, NEW, file=FILE)


@pytest.mark.parametrize("text", ["[targets.a\n", "[targets.a]\nurl = 3\n", '[targets.a]\nurl = "x"\nurls = 1\n'])
def test_a_wrong_file_is_not_touched(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config.toml, line \d"):
        with_target(text, NEW, file=FILE)


def test_what_was_changed_meanwhile_is_not_overwritten() -> None:
    newer = CONFIG.replace("PROD", "TEST")
    with pytest.raises(ConfigError, match=r"^sales: .* by another program"):
        with_target(newer, replace(SALES, label="QA"), was=SALES, file=FILE)
    with pytest.raises(ConfigError, match="by another program"):
        without_target(newer, SALES, file=FILE)
    assert 'label = "x"' in with_target(newer, replace(APP, label="x"), was=APP, file=FILE)


def test_a_name_that_is_taken_is_refused() -> None:
    for was in (None, SALES):
        with pytest.raises(ConfigError, match=r"^app: "):
            with_target(CONFIG, replace(NEW, name="app"), was=was, file=FILE)


def test_a_home_that_nobody_has_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"line 2: .* ~nobody-at-all"):
        parse_config('[targets.a]\nurl = "~nobody-at-all/a.db"\n', FILE)


# Whatever is in the file, and whatever things are called.

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
odd = st.sampled_from(
    ["a.b", "ü", "🐘", '"', "'", "\\", "\t", "\x85", "\u2028", "]", "#", "[x]", "= 1", "targets", "'''"]
)
names = st.one_of(words, odd)
operations = st.none() | st.lists(st.sampled_from(Operation), min_size=1, unique=True).map(tuple)
some_entries = st.builds(
    TargetEntry,
    name=names,
    url=names.filter(lambda url: not url.startswith("~")),
    label=st.none() | names,
    operations=operations,
    settings=st.just({}) | st.fixed_dictionaries({"on_failure": st.sampled_from(OnFailure)}),
)
comments = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(lambda text: f"# {text}")


@st.composite
def files(draw: st.DrawFn) -> str:
    """A config file as people write them, in one of the many ways that TOML has."""
    targets = draw(st.lists(some_entries, max_size=4, unique_by=lambda entry: entry.name))
    parts = [_section(draw, entry) for entry in targets]
    parts += draw(st.lists(st.sampled_from(["[defaults]\njobs = 2", "[console]\nrefresh = 1"]), unique=True))
    lines: list[str] = draw(st.lists(comments, max_size=2))
    for part in draw(st.permutations(parts)):
        lines += ["", *draw(st.lists(comments, max_size=2)), part, *draw(st.lists(comments, max_size=1))]
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return newline.join("\n".join(lines).split("\n")) + draw(st.sampled_from(["", newline]))


def _section(draw: st.DrawFn, entry: TargetEntry) -> str:
    key = tomlkit.items.SingleKey(entry.name).as_string()
    values = [("url", entry.url), ("label", entry.label), *((name, str(v)) for name, v in entry.settings.items())]
    said = [f"{name} = {tomlkit.item(value).as_string()}" for name, value in values if value is not None]
    if entry.operations:
        gap = draw(st.sampled_from(["", "\n  ", "  # why\n"]))
        said.append(f"operations = [{gap}{', '.join(map(repr, map(str, entry.operations)))}{gap and chr(10)}]")
    said = [line + draw(st.sampled_from(["", "  # so"])) for line in draw(st.permutations(said))]
    between = draw(st.sampled_from(["\n", "\n\n", "\n# and\n"]))
    return f"{draw(st.sampled_from(['', ' ']))}[targets.{key}]\n{between.join(said)}"


@given(files(), some_entries, st.data())
def test_a_changed_file_says_what_is_meant_and_keeps_the_rest(
    text: str, entry: TargetEntry, data: st.DataObject
) -> None:
    before = parse_config(text, FILE)
    was = data.draw(st.sampled_from([None, *before.targets]))
    entry = replace(entry, settings=was.settings if was else {})
    others = {other.name: other for other in before.targets if other != was}
    if entry.name in others:
        return
    after = with_target(text, entry, was=was, file=FILE)
    assert {found.name: found for found in parse_config(after, FILE).targets} == {**others, entry.name: entry}
    lines = iter(_other_lines(after, None))
    assert all(line in lines for line in _other_lines(text, was))  # in this order
    assert with_target(after, entry, was=entry, file=FILE) == after

    gone = without_target(after, entry, file=FILE)
    assert parse_config(gone, FILE) == replace(before, targets=tuple(o for o in before.targets if o != was))
    if was is None and not text.strip().startswith("#"):
        assert gone.split() == text.split()


def _other_lines(text: str, entry: TargetEntry | None) -> list[str]:
    """All lines that say something, in order; not those of one target's section."""
    lines = text.replace("\r\n", "\n").split("\n")
    if entry is not None:
        start = next(n for n, line in enumerate(lines) if _opens(line, entry.name))
        end = next((n for n in range(start + 1, len(lines)) if _opens(lines[n], None)), len(lines))
        del lines[start:end]
    return [line for line in lines if line]


def _opens(line: str, name: str | None) -> bool:
    if not line.lstrip().startswith("["):
        return False
    try:
        opened = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return name is None or opened == {"targets": {name: {}}}


def test_a_target_does_not_become_a_database_to_which_what_is_said_of_it_means_nothing() -> None:
    text = '[targets.shop]\nurl = "postgresql:///shop"\nspeed = "gentle"\n'
    (shop,) = parse_config(text, "f").targets
    with pytest.raises(ConfigError, match=r"^shop: .* speed "):
        with_target(text, replace(shop, url="/srv/shop.db"), was=shop, file="f")
    assert 'url = "postgresql:///web"\nspeed = "gentle"' in with_target(
        text, replace(shop, url="postgresql:///web"), was=shop, file="f"
    )


def test_a_theme_is_put_beside_what_is_there() -> None:
    said = '# mine\n[console]\ntheme = "dbtend"  # by day\nmouse = false\n\n[console.keys]\nretry = "R"\n'
    assert with_theme(said, "dbtend-light", file=FILE) == said.replace('"dbtend"', '"dbtend-light"')
    assert with_theme("", "dbtend", file=FILE) == '[console]\ntheme = "dbtend"\n'
    assert with_theme(CONFIG, "dbtend", file=FILE) == CONFIG + '\n[console]\ntheme = "dbtend"\n'
    keys = '[console.keys]\nretry = "R"\n'
    assert with_theme(keys, "dbtend", file=FILE) == keys + '\n[console]\ntheme = "dbtend"\n'


@pytest.mark.parametrize("text", ['console = { theme = "dbtend" }\n', 'console.theme = "dbtend"\n'])
def test_a_theme_that_is_written_in_another_way_is_left_to_an_editor(text: str) -> None:
    with pytest.raises(ConfigError, match=r'"dbtend-light" below \[console\]'):
        with_theme(text, "dbtend-light", file=FILE)


WITH_THRESHOLDS = """\
[targets.sales]
url = "/srv/sales.db"

# sooner than others
[targets.sales.advice]  # of sales
reclaim_soon = "1MB"

[targets.app]
url = "/srv/app.db"
advice = { small = "1MB" }
"""


def test_a_target_with_thresholds_of_its_own_is_renamed_changed_and_removed() -> None:
    sales, app = parse_config(WITH_THRESHOLDS, FILE).targets
    renamed = with_target(WITH_THRESHOLDS, replace(sales, name="my shop"), was=sales, file=FILE)
    assert renamed == WITH_THRESHOLDS.replace("targets.sales", 'targets."my shop"')
    changed = with_target(WITH_THRESHOLDS, replace(app, label="PROD"), was=app, file=FILE)
    assert parse_config(changed, FILE).targets[1] == replace(app, label="PROD")
    without = without_target(WITH_THRESHOLDS, sales, file=FILE)
    assert without == WITH_THRESHOLDS[WITH_THRESHOLDS.index("[targets.app]") :]
    assert "app" not in without_target(WITH_THRESHOLDS, app, file=FILE)
