"""The forms of a PostgreSQL target, and their canonical URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import UsageError
from engine.system.dsn import parameters_of, url_of
from engine.targets import resolve


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann@db.example.com/shop",
        "postgres://ann@db.example.com:5432/shop",
        "POSTGRES://ann@db.example.com/shop",
        "host=db.example.com dbname=shop user=ann",
        " user = ann port=5432 host='db.example.com' dbname=shop application_name=mine",
    ],
)
def test_all_forms_name_the_same_database(text: str) -> None:
    assert resolve(text).url == "postgresql://ann@db.example.com:5432/shop"


@pytest.mark.parametrize(
    "text",
    [
        "service=prod",
        "postgresql:///shop?service=prod",
        "postgresql://ann@h1,h2:5433/shop?target_session_attrs=read-write",
        "host=/run/postgresql dbname=shop user=ann sslmode=verify-full",
        "postgresql://ann@[::1]:5433/shop",
        "hostaddr=10.0.0.1 dbname=shop user=ann",
        "dbname='a b/c?d' user='x@y:z' host=h",
    ],
)
def test_a_url_means_the_same_again(text: str) -> None:
    url = resolve(text).url
    assert resolve(url).url == url
    assert parameters_of(url) == parameters_of(text)


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_name_survives(name: str) -> None:
    parameters = {"host": "h", "port": "5432", "user": name, "dbname": name}
    assert parameters_of(url_of(parameters)) == parameters


def test_the_environment_is_asked_now_and_not_where_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "db1", "PGPORT": "6000", "PGUSER": "ann", "PGDATABASE": "shop"}.items():
        monkeypatch.setenv(name, value)
    url = resolve("postgresql://").url
    assert url == "postgresql://ann@db1:6000/shop"
    local = resolve("postgresql://ann@:5432/shop?host=").url
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert resolve(url).url == url
    assert resolve(local).url == local == "postgresql://ann@:5432/shop?host="


def test_a_service_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "prod")
    assert resolve("postgresql://").url == "postgresql:///?service=prod"


@pytest.mark.parametrize(
    "text",
    [
        "host=h sslpassword=s3cret dbname=x",
        "postgresql://h/db?sslpassword=s3cret",
        "postgresql://h/db?pass%77ord=s3cret",
        "host=h scram_client_key=s3cret",
        "host=h passwort=s3cret",
        "postgresql://h:s3cret/db",
        "host=h pass\tword=s3cret'",
    ],
)
def test_a_secret_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(text)
    assert "s3c" not in str(caught.value)
    assert caught.value.hint


def test_names_of_one_server_are_one_where_no_name_has_to_be_resolved() -> None:
    def hosts(*urls: str) -> set[str | None]:
        return {resolve(url).host_key for url in urls}

    assert len(hosts("postgresql://a@localhost/x", "postgresql://b@127.0.0.1:5432/y", "postgresql://[::1]/z")) == 1
    assert len(hosts("postgresql://DB1.example.com/x", "postgresql://db1.example.com./y")) == 1
    assert len(hosts("postgresql://[fe80::1]/x", "postgresql://[FE80:0:0:0:0:0:0:1]/y", "hostaddr=fe80::1")) == 1
    assert len(hosts("postgresql://localhost/x", "postgresql://localhost:5433/x", "postgresql://db1/x")) == 3
    assert len(hosts("host=/run/A dbname=x", "host=/run/a dbname=x", "host=localhost dbname=x")) == 3
