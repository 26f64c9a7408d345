"""Which keys do what, and that no key means two things at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import UsageError
from tui.console import keymap
from tui.console.actions import ACTIONS, BY_ID, Place, may_meet
from tui.console.screens.help import HelpScreen
from tui.console.screens.history import HistoryScreen
from tui.console.screens.job import JobScreen
from tui.console.screens.target_form import TargetFormScreen
from tui.console.views.keys import footer_line, help_document


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    keymap.use({})


def test_no_key_of_the_table_means_two_things_at_once() -> None:
    for one, other in combinations([action for action in ACTIONS if not action.same_key_as], 2):
        if may_meet(one.place, other.place):
            shared = set(one.keys.split(",")) & set(other.keys.split(","))
            assert not shared, (one.id, other.id)


def test_what_shares_a_key_shares_it_with_something_that_has_it() -> None:
    for action in ACTIONS:
        if action.same_key_as:
            assert action.keys == BY_ID[action.same_key_as].keys


def test_every_action_has_a_key_and_a_name_of_its_own() -> None:
    assert len(BY_ID) == len(ACTIONS)
    assert all(action.keys and action.help for action in ACTIONS)


def test_questions_are_alone() -> None:
    assert not may_meet(Place.QUESTION, Place.EVERYWHERE)
    assert may_meet(Place.TREE, Place.JOBS)
    assert not may_meet(Place.OPERATIONS, Place.TREE)


def test_another_key_is_shown_wherever_the_action_is_named() -> None:
    keymap.use({"retry": "R", "pin": "f5, O"})
    assert keymap.key_of("retry") == "R"
    assert keymap.with_keys("Press {retry} to try again, {cancel} to stop.") == "Press R to try again, c to stop."
    assert keymap.shown_keys("unpin") == ["f5", "O"]
    assert " R retry " in footer_line(["retry", "help", "quit"], 80).text
    assert any(line.text.split()[:2] == ["R", "retry"] for line in help_document(list(Place), 120))
    assert keymap.remapped() == {"retry": "R", "pin": "f5,O"}


@pytest.mark.parametrize("width", [24, 60, 80])
@pytest.mark.parametrize("ids", [JobScreen.FOOTER, HistoryScreen.FOOTER, HelpScreen.FOOTER, TargetFormScreen.FOOTER])
def test_where_it_gets_narrow_the_way_back_is_the_last_to_go(ids: tuple[str, ...], width: int) -> None:
    keymap.use({"back": "f2", "leave": "f2", "close-commands": "f2"})
    text = footer_line(ids, width).text
    assert " f2 back " in text
    assert (" ? help " in text) == ("help" in ids)
    assert len(text) <= width


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("?", "question_mark"),
        ("+", "plus"),
        ("-", "minus"),
        ("esc", "escape"),
        ("pgdn", "pagedown"),
        ("ctrl+r", "ctrl+r"),
        ("!", "exclamation_mark"),
        (",", "comma"),
        ("R", "R"),
        ("ä", "ä"),
        ("f12", "f12"),
        ("space", "space"),
        ("shift+tab", "shift+tab"),
    ],
)
def test_keys_are_written_as_people_write_them(typed: str, name: str) -> None:
    keymap.use({"zoom": typed, "no": "n", "back": "f2", "leave": "f2", "close-commands": "f2"} | _made_free(name))
    assert keymap.keys_of("zoom") == (name,)


def _made_free(key: str) -> dict[str, str]:
    """Other keys for the actions that have this key."""
    owners = [a.id for a in ACTIONS if key in a.keys.split(",") and a.id != "zoom" and may_meet(a.place, Place.MAIN)]
    return dict.fromkeys(owners, "f11")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"retri": "R"}, "no such action"),
        ({"unpin": "O"}, "shares the key of pin"),
        ({"retry": "meta"}, "unknown key"),
        ({"retry": ""}, "unknown key"),
        ({"retry": "ctrl+s"}, "stops the output"),
        ({"retry": "ctrl+c"}, "always leaves"),
        ({"leave-console": "x"}, "cannot have another key"),
        ({"retry": "c"}, "c is also the key of cancel"),
        ({"cancel": "?"}, "? is also the key of help"),
        ({"retry": "x", "cancel": "x"}, "is also the key of"),
        ({"yes": "n"}, "n is also the key of no"),
    ],
)
def test_what_cannot_be_is_refused_by_name(said: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        keymap.use(said)
    assert why in refused.value.why
    assert refused.value.what.removeprefix("console.keys.") in said
    assert keymap.remapped() == {}


def test_keys_may_be_swapped() -> None:
    keymap.use({"retry": "c", "cancel": "t"})
    assert (keymap.key_of("retry"), keymap.key_of("cancel")) == ("c", "t")


def test_the_same_key_in_places_that_never_meet_is_no_conflict() -> None:
    keymap.use({"choose": "z"})


@given(st.dictionaries(st.sampled_from(sorted(BY_ID)), st.text(max_size=8)))
def test_whatever_the_file_says_each_key_means_one_thing(said: dict[str, str]) -> None:
    keymap.use({})
    try:
        keymap.use(said)
    except UsageError:
        assert keymap.remapped() == {}
    for one, other in combinations([action for action in ACTIONS if not action.same_key_as], 2):
        if may_meet(one.place, other.place):
            assert not set(keymap.keys_of(one.id)) & set(keymap.keys_of(other.id))
