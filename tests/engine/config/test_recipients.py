"""[notify.NAME] of the config file: who is told, and how."""

from __future__ import annotations

import pytest

from engine.config.keys import NOTIFY_KEYS
from engine.config.parser import parse_config
from engine.config.recipients import is_web_url
from engine.domain.errors import ConfigError
from engine.domain.notifications import EventKind, Method, Recipient, Secret, Tls

MAIL = 'smtp = "mail.example.org"\nfrom = "dbtend@example.org"\nto = ["dba@example.org", "root"]\n'


def parsed(text: str) -> Recipient:
    (found,) = parse_config(f"[notify.ops]\n{text}", "config.toml").notify
    return found


def test_a_command() -> None:
    assert parsed('command = ["/usr/bin/page", "dba"]\njson = true\non = ["failed", "missed"]\n') == Recipient(
        name="ops", method=Method.COMMAND, command=("/usr/bin/page", "dba"), json=True,
        on=(EventKind.FAILED, EventKind.MISSED),
    )  # fmt: skip


def test_a_webhook_with_all_that_holds_for_every_recipient() -> None:
    text = (
        'webhook = "https://example.org/hook"\ntoken_file = "/etc/dbtend/token"\nsettle = "5m"\nlatest = "2h"\n'
        'longer_by = "1m"\nfrom_runs = true\ntimeout = 5\n'
    )
    assert parsed(text) == Recipient(
        name="ops", method=Method.WEBHOOK, webhook="https://example.org/hook", token=Secret("/etc/dbtend/token"),
        settle=300.0, latest=7200.0, longer_by=60.0, from_runs=True, timeout=5.0,
    )  # fmt: skip


def test_a_webhook_whose_url_is_a_secret() -> None:
    found = parsed('webhook_command = ["pass", "show", "hook"]\n')
    assert (found.method, found.webhook, found.webhook_secret) == (
        Method.WEBHOOK, "", Secret(command=("pass", "show", "hook"))
    )  # fmt: skip


def test_mail() -> None:
    assert parsed(f'{MAIL}user = "dbtend"\npassword_file = "/etc/dbtend/mail"\n') == Recipient(
        name="ops", method=Method.EMAIL, host="mail.example.org", port=587, tls=Tls.STARTTLS,
        sender="dbtend@example.org", to=("dba@example.org", "root"), user="dbtend", password=Secret("/etc/dbtend/mail"),
    )  # fmt: skip


@pytest.mark.parametrize(("tls", "port"), [("tls", 465), ("none", 25), ("starttls", 587)])
def test_the_port_of_a_mail_server_follows_its_encryption(tls: str, port: int) -> None:
    assert parsed(f'{MAIL}tls = "{tls}"\n').port == port


@pytest.mark.parametrize(("server", "host", "port"), [("mx:2525", "mx", 2525), ("[::1]:25", "::1", 25)])
def test_the_port_of_a_mail_server_may_be_given(server: str, host: str, port: int) -> None:
    found = parsed(MAIL.replace("mail.example.org", server))
    assert (found.host, found.port) == (host, port)


def test_services_of_apprise() -> None:
    assert parsed('apprise_file = "/etc/dbtend/services"\n').apprise == Secret("/etc/dbtend/services")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "notify.ops.command is missing"),
        ('on = ["failed"]', "notify.ops.command is missing"),
        ('command = ["x"]\nwebhook = "https://a.b/"', "notify.ops.webhook does not go with command"),
        ('command = "mail dba"', "notify.ops.command must be a list of words"),
        ("command = []", "notify.ops.command must be a list of words"),
        ('command = [""]', "notify.ops.command must be a list of words"),
        ('command = ["a\\u0000b"]', "notify.ops.command must be a list of words"),
        ('command = ["x"]\non = []', "notify.ops.on must be a list of events"),
        ('command = ["x"]\non = ["fialed"]', "notify.ops.on cannot be 'fialed'"),
        ('command = ["x"]\nto = ["a@b.c"]', "notify.ops.to does not apply to a command"),
        ('command = ["x"]\ntimeout = 0', "notify.ops.timeout must be at least 1 second"),
        ('command = ["x"]\nsettle = "soon"', "notify.ops.settle must be a duration"),
        ('webhook = "ftp://a.b/"', "notify.ops.webhook must be a URL"),
        ('webhook = "file:///etc/passwd"', "notify.ops.webhook must be a URL"),
        ('webhook = "https:///"', "notify.ops.webhook must be a URL"),
        ('webhook = "https://a b/"', "notify.ops.webhook must be a URL"),
        ('webhook = "https://[::1/"', "notify.ops.webhook must be a URL"),
        ('webhook = "https://user:s3cret@a.b/"', "notify.ops.webhook must not hold a password"),
        ('webhook = "https://a.b/"\nwebhook_file = "/f"', "notify.ops.webhook does not go with webhook_file"),
        ('webhook = "https://a.b/"\ntoken_file = "f"', "notify.ops.token_file must be an absolute path"),
        (
            'webhook = "https://a.b/"\ntoken_file = "/f"\ntoken_command = ["x"]',
            "notify.ops.token_command does not go with token_file",
        ),
        ('webhook = "http://a.b/"\ntoken_file = "/f"', "notify.ops.webhook must be https with a token"),
        ('webhook = "http://127.0.0.1.a.b/"\ntoken_command = ["x"]', "notify.ops.webhook must be https with a token"),
        ('webhook = "https://a.b/"\npassword = "x"', "notify.ops.password is an unknown key"),
        (MAIL.replace("mail.example.org", "mail.example.org:0"), "notify.ops.smtp must be HOST or HOST:PORT"),
        (MAIL.replace("mail.example.org", "mail.example.org:99999"), "notify.ops.smtp must be HOST or HOST:PORT"),
        (MAIL.replace("mail.example.org", "smtp://x"), "notify.ops.smtp must be HOST or HOST:PORT"),
        (MAIL.replace('from = "dbtend@example.org"', ""), "notify.ops.from is missing"),
        ('smtp = "x"\nfrom = "a@b.c"', "notify.ops.to is missing"),
        (MAIL.replace("dba@example.org", "a@b.c\\nBcc: d@e.f"), "notify.ops.to must be an address"),
        (MAIL.replace("dba@example.org", "DBA <a@b.c>"), "notify.ops.to must be an address"),
        (f'{MAIL}tls = "ssl"', "notify.ops.tls cannot be 'ssl'"),
        (f'{MAIL}user = "x"', "notify.ops.user and its password go together"),
        (f'{MAIL}password_file = "/f"', "notify.ops.user and its password go together"),
        (f'{MAIL}user = "x"\npassword_file = "/f"\ntls = "none"', "notify.ops.tls must not be none with a password"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(f"{text}\n")
    assert str(caught.value).startswith("config.toml, line ")
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("place", ["127.0.0.1:80", "localhost", "[::1]:8080"])
def test_a_token_may_go_to_this_host_without_encryption(place: str) -> None:
    assert parsed(f'webhook = "http://{place}/"\ntoken_file = "/f"\n').token == Secret("/f")


def test_a_webhook_without_a_secret_needs_no_encryption() -> None:
    assert parsed('webhook = "http://a.b/"\n').webhook == "http://a.b/"


def test_something_else_than_tables_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"notify\.ops must be a table"):
        parse_config('[notify]\nops = "dba@example.org"\n', "config.toml")


def test_each_key_is_for_one_way_or_for_all() -> None:
    assert {key.only for key in NOTIFY_KEYS.values()} == {None, *Method}


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "javascript://x", "https://ä.example/", "http://a.b:0/", "http://a:b"]
)
def test_what_is_no_web_url(url: str) -> None:
    assert not is_web_url(url)


def test_a_schedule_names_recipients_of_the_file() -> None:
    schedule = '[schedules.nightly]\ntargets = ["/srv/a.db"]\nstart = "0 22 * * *"\nnotify = ["ops"]\n'
    config = parse_config(f'{schedule}[notify.ops]\ncommand = ["x"]\n', "config.toml")
    assert config.schedules[0].notify == ("ops",)
    with pytest.raises(ConfigError, match=r"line 4: schedules\.nightly\.notify names ops.* \(did you mean oops\?\)"):
        parse_config(f'{schedule}[notify.oops]\ncommand = ["x"]\n', "config.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:2525"])
def test_a_password_may_go_in_the_clear_to_this_host_as_a_token_may(host: str) -> None:
    mail = MAIL.replace("mail.example.org", host)
    assert parsed(f'{mail}user = "x"\npassword_file = "/f"\ntls = "none"').tls is Tls.NONE
    place = host.partition(":2525")[0]
    assert parsed(f'webhook = "http://{place}/"\ntoken_file = "/f"').token is not None


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.example.org", "10.0.0.1"])
def test_no_password_goes_in_the_clear_to_another_host(host: str) -> None:
    with pytest.raises(ConfigError, match="must not be none with a password"):
        parsed(MAIL.replace("mail.example.org", host) + 'user = "x"\npassword_file = "/f"\ntls = "none"')
