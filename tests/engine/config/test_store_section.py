"""The section `[store]`, which is read alone before all else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.parser import parse_config
from engine.config.reader import load_store
from engine.domain.errors import ConfigError

URL = "postgresql://dba@db1/dbtend"


@pytest.mark.parametrize(
    "text",
    [
        f'[store]\nurl = "{URL}"',
        f'store.url = "{URL}"',
        f'store = {{ url = "{URL}" }}',
        f'["store"]\nurl = "{URL}"',
        f"[defaults]\nworkers = 3\n  [ store ]\n  'url' = '{URL}'",
    ],
)
def test_however_it_is_written_it_is_found(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert load_store(file).url == parse_config(text, str(file)).store.url == URL


def test_an_error_elsewhere_is_left_to_who_reads_all(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[store]\nurl = "{URL}"\n[console]\nnonsense = 1')
    assert load_store(file).url == URL


def test_without_such_a_section_not_even_the_syntax_matters(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("broken [")
    assert load_store(file).url is None
    assert load_store(tmp_path / "missing.toml").url is None
    assert load_store(tmp_path).url is None


def test_where_the_file_is_broken_no_other_store_is_used_instead(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[store]\nurl = "{URL}')
    with pytest.raises(ConfigError, match="line 2"):
        load_store(file)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('url = "postgresql://dba:geheim@db1/dbtend"', "holds a password"),
        ('url = "host=db1 password=geheim"', "holds a password"),
        ('url = "jobs.db"', "neither a full path nor"),
        ('url = "mysql://u@h/d"', "neither a full path nor"),
        ("url = 3", "text"),
        ('uri = "x"', "unknown key"),
    ],
)
def test_what_cannot_be_a_store_names_its_line(line: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[store]\n{line}")
    with pytest.raises(ConfigError, match=why) as raised:
        load_store(file)
    assert raised.value.what == f"{file}, line 2"
    assert "geheim" not in str(raised.value)
