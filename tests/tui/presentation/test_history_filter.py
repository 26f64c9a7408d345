"""The grammar of the filter line and of `dbtend history`."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import HistoryFilter, JobOutcome, Operation
from engine.domain.errors import UsageError
from tui.presentation.history_filter import history_filter, if_not_found, unfinished, words_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = 86_400 * 1_000_000


def micros(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


def called(part: str) -> frozenset[str]:
    return frozenset({"sqlite:///srv/x.db"}) if part == "prod" else frozenset()


def meant(line: str) -> HistoryFilter:
    return history_filter(words_of(line), called=called, now=NOW)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("", HistoryFilter()),
        ("  ", HistoryFilter()),
        ("target:sales", HistoryFilter(target_part="sales")),
        ("target:prod", HistoryFilter(target_part="prod", named_targets=frozenset({"sqlite:///srv/x.db"}))),
        ('target:"my shop"', HistoryFilter(target_part="my shop")),
        ("status:failed op:vacuum", HistoryFilter(status=JobOutcome.FAILED, operation=Operation.VACUUM)),
        ("operation:fts-optimize", HistoryFilter(operation=Operation.FTS_OPTIMIZE)),
        ("batch:17", HistoryFilter(batch=17)),
        ("batch:b17 status:failed", HistoryFilter(batch=17, status=JobOutcome.FAILED)),
        ("status:Failed", HistoryFilter(status=JobOutcome.FAILED)),
        ("since:7d", HistoryFilter(since=micros(2026, 11, 17, 12))),
        ("since:2026-11-01T00:00+00:00", HistoryFilter(since=micros(2026, 11, 1))),
        ("disk full", HistoryFilter(error_words=("disk", "full"))),
        ('"disk full"', HistoryFilter(error_words=("disk full",))),
        ('"disk full', HistoryFilter(error_words=("disk full",))),
        ('"status:failed"', HistoryFilter(error_words=("status:failed",))),
        ("orders_1: no", HistoryFilter(error_words=("orders_1:", "no"))),
        ("pid:7", HistoryFilter(error_words=("pid:7",))),
        ('""', HistoryFilter()),
        ("disk status:failed full", HistoryFilter(status=JobOutcome.FAILED, error_words=("disk", "full"))),
    ],
)
def test_what_a_line_means(line: str, where: HistoryFilter) -> None:
    assert meant(line) == where


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("vacuum since:1h", "op:vacuum"),
        ("Failed prod vacuum", "status:Failed target:prod op:vacuum"),
        ('disk "vacuum" status:failed', ""),
        ("", ""),
    ],
)
def test_a_word_that_names_something_would_be_looked_for_better_by_its_kind(line: str, better: str) -> None:
    said = if_not_found(words_of(line), called)
    assert said.endswith(f"Did you mean {better}?" if better else "since:, until:.")


def test_a_bare_date_after_until_means_its_end() -> None:
    since, until = meant("since:2026-11-01").since, meant("until:2026-11-01").until
    assert since is not None
    assert until == since + DAY - 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("status:faild", "status:faild: is no status (did you mean failed? known: completed, partial, failed, "),
        ("op:vacum", "op:vacum: is no operation (did you mean vacuum? known: vacuum, analyze"),
        ("since:yesterday", "since:yesterday: is no date (give 2026-11-24"),
        ("batch:x", "batch:x: is no batch id (batch ids look like b17)"),
        ("status:", "status:: needs a value (completed, partial, failed"),
        ('target:""', "target:: needs a value (a part of its name)"),
        ("stats:failed", 'stats:failed: stats: is nothing to look for (did you mean status:? For text write "stats:f'),
        ("status:failed status:completed", "status:completed: there is another status: already (leave one of them out"),
        ("op:vacuum operation:check", "operation:check: there is another op: already"),
    ],
)
def test_an_error_names_the_word_what_is_wrong_and_what_is_known(line: str, error: str) -> None:
    with pytest.raises(UsageError) as problem:
        meant(line)
    assert str(problem.value).startswith(error)


@given(st.text())
def test_every_line_means_something_or_is_an_error_for_a_person(line: str) -> None:
    with suppress(UsageError):
        assert all(meant(line).error_words)


@given(st.lists(st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_a_quoted_word_is_text_whatever_it_looks_like(texts: list[str]) -> None:
    line = " ".join(f'"{text}"' for text in texts)
    assert meant(line).error_words == tuple(texts)


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        ("s", "status: completed"),
        ("op:vacuum sta", "status: completed"),
        ("status:", "status: completed"),
        ("status:f", "status: completed"),
        ("op:chec", "op: vacuum"),
        ("since:2026-11", "since: a date"),
        ("since:7", "since: a date"),
        ("target:", "target: a part"),
        ("batch:b", "batch: its id"),
    ],
)
def test_the_beginning_of_what_is_known_says_what_may_follow(line: str, begins: str) -> None:
    assert unfinished(line).startswith(begins)


WHOLE = [
    "",
    "status ",
    "x",
    '"sta',
    "status:failed",
    "status:x",
    "op:check",
    "since:2026-11-01",
    "until:7d",
    "target:s",
    "batch:1",
    "batch:b1",
]


@pytest.mark.parametrize("line", WHOLE)
def test_what_is_whole_or_unknown_is_looked_for(line: str) -> None:
    assert unfinished(line) == ""
