"""A config file is split into its statements, and a key is found in its line."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given

from engine.config.parser import parse_config
from engine.config.statements import line_of, statements
from engine.domain.errors import ConfigError
from tests.engine.config.test_editor import files


@given(files())
def test_the_statements_together_are_the_file(text: str) -> None:
    found = list(statements(text))
    assert "".join(statement.text for statement in found) == text
    headers = {statement.header for statement in found} - {None}
    assert all(line_of(path, text) for path in headers if path is not None)


@pytest.mark.parametrize(
    "first",
    [
        'a = """\n[b]\n"""', "a = '''\n'b = 1\n''''", 'a = """"b"""""', 'a = [ # ]\n 1,\n {x = "]"},\n]',
        '"a # b"."]" = 1', 'a = "\\"["', "a = '\\'", '# a = """', 'a = """\\\n  x"""', "[[a]]\n\n", "\r\n# c",
    ],
)  # fmt: skip
def test_a_statement_ends_where_toml_says(first: str) -> None:
    text = f"{first}\n[b.c]\nd = 1\n"
    tomllib.loads(text)
    *_, header, value = statements(text)
    assert (header.header, value.key) == (("b", "c"), "d")
    begins = first.count("\n") + 2
    assert (line_of(("b",), text), line_of(("b", "c", "d"), text)) == (begins, begins + 1)
    assert line_of(("b", "d"), text) is None


def test_an_error_after_a_very_long_list_has_its_line() -> None:
    names = '"shop",\n' * 100_000
    text = f'[targets.a]\nurl = "service=a"\nschemas = [\n{names}]\n[defaults]\njobs = "x"\n'
    with pytest.raises(ConfigError, match=r"^f, line 100006: defaults.jobs "):
        parse_config(text, "f")


def test_only_a_newline_ends_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^f, line 3: targets.a.jobs "):
        parse_config('[targets.a]\nurl = "/srv/\x85\u2028.db"\njobs = 0\n', "f")
