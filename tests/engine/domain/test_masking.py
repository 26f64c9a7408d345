"""A password in the wrong place is found and never repeated."""

from __future__ import annotations

import pytest

from engine.domain import typed_passwords
from engine.domain.errors import UsageError
from engine.domain.masking import holds_password, masked

WITH_ONE = (
    "postgresql://ann:s3cret@h/db",
    "postgresql:/ann:s3cret@h/db",
    "postgresql://ann:s3c@ret@h/db",
    "postgresql://:s3cret@h/db",
    "mysql://ann:s3cret@h",
    "postgresql://h/db?user=ann&password=s3cret",
    "host=h password=s3cret",
    "password = 's3cret' host=h",
    "--target=postgresql://ann:s3cret@h/db",
    "target:postgresql://ann:s3cret@h/db",
)
WITHOUT = (
    "postgresql://ann@h:5432/db", "sqlite:///srv/a:b@c.db", "/srv/a:b@c.db", "host=h user=ann", "sales.db", "12:30",
    "service=prod", "--store=/srv/password=1/jobs.db", "select 1 from account where password = 'x'", "",
)  # fmt: skip


@pytest.mark.parametrize("word", WITH_ONE)
def test_a_password_is_noticed_and_masked(word: str) -> None:
    assert holds_password(word)
    for text in (word, repr(word), f"{word}: what is wrong", f"{word!r} is no job id"):
        assert "s3c" not in masked(text)
        assert "ret" not in masked(text)


@pytest.mark.parametrize("word", WITHOUT)
def test_what_has_none_is_left_alone(word: str) -> None:
    assert not holds_password(word)
    if "password" not in word:
        assert masked(word) == word


def test_a_password_with_a_blank_is_masked_between_its_quotes() -> None:
    assert masked("'postgresql://ann:s3 cret@h/db' is no") == "'postgresql://ann:***@h/db' is no"


def test_of_two_urls_in_a_sentence_only_the_passwords_go() -> None:
    assert masked("postgresql://a:b@h is postgresql://c@h") == "postgresql://a:***@h is postgresql://c@h"


def test_what_is_known_to_be_one_is_masked_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    typed_passwords.remember("postgresql://ann@h/db", "correct horse")
    try:
        assert masked("hunter2 and correct horse") == "*** and ***"
    finally:
        typed_passwords.forget()


def test_no_error_repeats_one() -> None:
    error = UsageError("postgresql://a:s3cret@h", "'postgresql://a:s3cret@h' is none", "see password=s3cret")
    assert "s3cret" not in f"{error}{error.what}{error.why}{error.hint}"
