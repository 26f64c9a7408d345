"""One delivery: to real servers and programs that take a message, refuse it, or hang; secrets stay where they are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.domain.notifications import DeliveryResult, MessageText, Method, Recipient, Secret, Tls
from engine.notify import delivery
from engine.notify.delivery import Parcel, deliver
from engine.notify.sending import order
from tests.receivers import (
    MailServer,
    WebServer,
    answering_server,
    mail_server,
    own_certificate,
    silent_server,
    web_server,
)
from tests.waiting import eventually
from tui.presentation.text import plain

TEXT = MessageText("2 failed", "Failed\n  größe  #42\n", {"text": "Failed", "events": [{"kind": "failed"}]})
PARCEL = Parcel(key="abc123", text=TEXT)
SECRET = "s3cr3t-t0ken-0815"


def secret_file(directory: Path, content: str = SECRET) -> Secret:
    path = directory / "secret"
    path.write_text(content + "\n")
    return Secret(file=str(path))


def to_web(server: WebServer | None = None, **settings: Any) -> Recipient:
    url = {} if server is None else {"webhook": server.url}
    return Recipient(**{"name": "ops", "method": Method.WEBHOOK, "timeout": 20.0, **url, **settings})


def to_mail(server: MailServer, **settings: Any) -> Recipient:
    given: dict[str, Any] = {"host": server.host, "port": server.port, "tls": Tls.NONE, "sender": "dbtend@example.org"}
    given |= {"name": "ops", "method": Method.EMAIL, "to": ("dba@example.org",), "timeout": 20.0, **settings}
    return Recipient(**given)


def to_program(directory: Path, code: str, **settings: Any) -> Recipient:
    script = directory / "script.py"
    script.write_text(code)
    return Recipient(name="ops", method=Method.COMMAND, command=(sys.executable, str(script)), timeout=20.0, **settings)


async def test_a_webhook_gets_the_message_as_json_with_its_key_and_token(tmp_path: Path) -> None:
    with web_server() as server:
        result = await deliver(to_web(server, token=secret_file(tmp_path)), PARCEL)
        post = server.taken()
    assert result == DeliveryResult()
    assert post.json == TEXT.document
    assert post.headers["Authorization"] == f"Bearer {SECRET}"
    assert post.headers["Idempotency-Key"] == "abc123"
    assert post.headers["Content-Type"] == "application/json"


async def test_the_url_of_a_webhook_may_be_a_secret_that_a_program_prints(tmp_path: Path) -> None:
    with web_server() as server:
        command = (sys.executable, "-c", f"print({server.url!r} + '/{SECRET}')")
        assert await deliver(to_web(webhook_secret=Secret(command=command)), PARCEL) == DeliveryResult()
        assert server.taken().path == f"/hook/{SECRET}"


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 404, 429, 500, 503])
async def test_any_answer_but_2xx_is_a_failure_and_no_redirection_is_followed(code: int) -> None:
    with web_server() as server:
        server.answers, server.location = [code], server.url
        result = await deliver(to_web(server), PARCEL)
        assert result.error is not None
        assert str(code) in result.error
        server.taken()
        assert server.none_waits()


async def test_no_error_repeats_a_secret_that_a_server_repeats(tmp_path: Path) -> None:
    with web_server() as server:
        server.answers, server.answer_text = [403], f"the token {SECRET} is wrong\x1b[2J"
        result = await deliver(to_web(server, token=secret_file(tmp_path)), PARCEL)
    assert result.error is not None
    assert SECRET not in result.error
    assert "***" in result.error


@pytest.mark.parametrize(
    "answer", ["no such hook: {path}", "{path}", " " * 250 + "{path}", " " * 500 + "{path}", "a" * 290 + " {path}"]
)
async def test_no_error_repeats_the_path_of_a_secret_url(tmp_path: Path, answer: str) -> None:
    with web_server() as server:
        server.answers, server.answer_text = [404], answer
        url = f"{server.url}/T0/{SECRET}?key={SECRET}-key&x=y"
        result = await deliver(to_web(webhook_secret=secret_file(tmp_path, url)), PARCEL)
    assert result.error is not None
    assert result.error.startswith(f"{server.place} answers 404 ")
    assert not any(piece in result.error for piece in ("s3cr3t", "/T0", "key", "x=y"))


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("SEGMENT is unknown", "*** is unknown"),
        ("no route for \\/hook\\/T0\\/SEGMENT", "no route for ***"),
        ("the key größe-geheim is wrong", "the key *** is wrong"),
        ("the key gr%C3%B6%C3%9Fe-geheim is wrong", "the key *** is wrong"),
    ],
)
async def test_no_error_repeats_a_piece_of_a_secret_url(tmp_path: Path, said: str, masked: str) -> None:
    with web_server() as server:
        server.answers, server.answer_text = [404], said.replace("SEGMENT", SECRET)
        url = f"{server.url}/T0/{SECRET}?key=gr%C3%B6%C3%9Fe-geheim"
        result = await deliver(to_web(webhook_secret=secret_file(tmp_path, url)), PARCEL)
    assert result.error == f"{server.place} answers 404 Not Found: {masked}"


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    with silent_server() as port:
        pass
    result = await deliver(to_web(webhook=f"http://127.0.0.1:{port}/"), PARCEL)
    assert result.error == f"127.0.0.1:{port} cannot be reached: Connection refused"


@pytest.mark.parametrize("method", [Method.WEBHOOK, Method.EMAIL])
async def test_a_server_that_never_answers_is_a_failure_at_the_time_limit(method: Method) -> None:
    with silent_server() as port:
        recipient = Recipient(
            name="ops", method=method, webhook=f"http://127.0.0.1:{port}/", host="127.0.0.1", port=port,
            tls=Tls.NONE, sender="a@b.c", to=("d@e.f",), timeout=1.0,
        )  # fmt: skip
        result = await deliver(recipient, PARCEL)
    assert result.error == f"127.0.0.1:{port} takes longer than 1 second"


@pytest.mark.parametrize("method", [Method.WEBHOOK, Method.EMAIL])
async def test_a_server_that_drips_its_answer_is_a_failure_at_the_time_limit(method: Method) -> None:
    with answering_server(b"2", again=True) as port:
        recipient = Recipient(
            name="ops", method=method, webhook=f"http://127.0.0.1:{port}/", host="127.0.0.1", port=port,
            tls=Tls.NONE, sender="a@b.c", to=("d@e.f",), timeout=1.0,
        )  # fmt: skip
        result = await deliver(recipient, PARCEL)
    assert result.error == f"127.0.0.1:{port} takes longer than 1 second"


@pytest.mark.parametrize("method", [Method.WEBHOOK, Method.EMAIL])
@pytest.mark.parametrize("answer", [b"", b"220", b"nonsense\r\n"])
async def test_a_server_that_ends_the_connection_is_told_of_in_plain_words(method: Method, answer: bytes) -> None:
    with answering_server(answer) as port:
        recipient = Recipient(
            name="ops", method=method, webhook=f"http://127.0.0.1:{port}/", host="127.0.0.1", port=port,
            tls=Tls.NONE, sender="a@b.c", to=("d@e.f",), timeout=20.0,
        )  # fmt: skip
        result = await deliver(recipient, PARCEL)
    assert (result.error or "").startswith(f"127.0.0.1:{port} ")
    assert not any(word in (result.error or "") for word in ("Unexpected", "unexpected", "BadStatus", "Errno"))


async def test_a_secret_that_comes_too_late_is_a_failure_that_names_its_program() -> None:
    with web_server() as server:
        recipient = to_web(server, token=Secret(command=("sleep", "60")), timeout=1.0)
        assert (await deliver(recipient, PARCEL)).error == "sleep takes longer than 1 second"


async def test_a_program_gets_the_text_and_its_subject(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'taken')!r}).write_text(os.environ['DBTEND_SUBJECT'] + '|' +"
        " os.environ['DBTEND_MESSAGE'] + '|' + sys.stdin.read())\n"
    )
    assert await deliver(to_program(tmp_path, code), PARCEL) == DeliveryResult()
    assert (tmp_path / "taken").read_text() == f"{TEXT.subject}|abc123|{TEXT.text}"


async def test_a_program_may_get_json(tmp_path: Path) -> None:
    code = f"import sys, pathlib\npathlib.Path({str(tmp_path / 'taken')!r}).write_text(sys.stdin.read())\n"
    assert await deliver(to_program(tmp_path, code, json=True), PARCEL) == DeliveryResult()
    assert json.loads((tmp_path / "taken").read_text()) == TEXT.document


async def test_a_program_that_fails_or_is_missing_is_a_failure(tmp_path: Path) -> None:
    failing = await deliver(to_program(tmp_path, "import sys\nsys.exit('no route')"), PARCEL)
    assert failing.error is not None
    assert failing.error.endswith("ended with exit code 1: no route")
    missing = await deliver(Recipient(name="ops", method=Method.COMMAND, command=("/no/such/program",)), PARCEL)
    assert missing.error == "/no/such/program cannot be started: No such file or directory"


async def test_a_program_that_reads_nothing_and_leaves_one_behind_is_not_waited_for(tmp_path: Path) -> None:
    code = "import subprocess\nsubprocess.Popen(['sleep', '60'])\n"
    assert await deliver(to_program(tmp_path, code), PARCEL) == DeliveryResult()


async def test_a_program_that_hangs_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_STARTING", 2.0)
    code = (
        "import os, subprocess, pathlib\n"
        "inner = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path / 'pids')!r}).write_text(f'{{os.getpid()}} {{inner.pid}}')\n"
        "inner.wait()\n"
    )
    result = await deliver(replace(to_program(tmp_path, code), timeout=1.0), PARCEL)
    assert result.error == f"{sys.executable} takes longer than 1 second"
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        await until_gone(pid)


async def until_gone(pid: int) -> None:
    await eventually(lambda: not is_running(pid))


def has_text(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("cancels", [1, 2])
async def test_a_cancel_kills_what_is_on_its_way_and_waits_until_what_sends_it_has_ended(
    tmp_path: Path, cancels: int
) -> None:
    code = (
        "import os, pathlib, signal\n"
        f"pathlib.Path({str(tmp_path / 'pids')!r}).write_text(f'{{os.getpid()}} {{os.getppid()}}')\n"
        "signal.pause()\n"
    )
    task = asyncio.create_task(deliver(to_program(tmp_path, code), PARCEL))
    await eventually(lambda: has_text(tmp_path / "pids"))
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    program, sender = (tmp_path / "pids").read_text().split()
    assert not Path("/proc", sender).exists()
    await until_gone(int(program))


async def test_a_mail_is_plain_text_with_a_subject_and_an_id_that_stays(tmp_path: Path) -> None:
    with mail_server() as server:
        assert await deliver(to_mail(server), PARCEL) == DeliveryResult()
        assert await deliver(to_mail(server), PARCEL) == DeliveryResult()
        first, second = server.taken(), server.taken()
    assert first["Subject"] == TEXT.subject
    assert first["To"] == "dba@example.org"
    assert first["Message-ID"] == second["Message-ID"] == "<abc123@example.org>"
    assert first.get_content_type() == "text/plain"
    assert "größe" in first.get_content()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not there")
async def test_a_mail_goes_by_starttls_with_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = own_certificate(tmp_path)
    with mail_server(password=SECRET, certificate=certificate) as server:
        recipient = to_mail(server, tls=Tls.STARTTLS, user="dbtend", password=secret_file(tmp_path))
        untrusted = await deliver(recipient, PARCEL)
        assert untrusted.error is not None
        assert "certificate" in untrusted.error
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await deliver(recipient, PARCEL) == DeliveryResult()
        assert server.logins == [("dbtend", SECRET)]
        server.taken()
        wrong = await deliver(replace(recipient, password=secret_file(tmp_path, "wrong-password")), PARCEL)
        assert wrong.error is not None
        assert wrong.error.startswith(f"127.0.0.1:{server.port} refuses the user: 535")
        assert "wrong-password" not in wrong.error


async def test_a_mail_server_without_tls_gets_no_mail_that_is_to_be_encrypted() -> None:
    with mail_server() as server:
        result = await deliver(to_mail(server, tls=Tls.STARTTLS), PARCEL)
        assert result.error is not None
        assert "STARTTLS" in result.error
        assert server.mails.empty()


@pytest.mark.parametrize("answer", ["421 too many connections", "500 what?", "", None])
async def test_a_mail_that_was_taken_is_delivered_however_the_session_ends(answer: str | None) -> None:
    with mail_server() as server:
        server.answer_to_quit = answer
        assert await deliver(to_mail(server), PARCEL) == DeliveryResult()
        server.taken()
        server.refused = {"gone@example.org"}
        refused = await deliver(to_mail(server, to=("gone@example.org",)), PARCEL)
        assert "refuses every address" in (refused.error or "")


async def test_an_address_that_is_refused_is_named_and_the_others_have_the_mail() -> None:
    with mail_server() as server:
        server.refused = {"gone@example.org"}
        result = await deliver(to_mail(server, to=("dba@example.org", "gone@example.org")), PARCEL)
        assert result.error is None
        assert "refuses gone@example.org (550 no such user here)" in (result.refused or "")
        server.taken()
        none = await deliver(to_mail(server, to=("gone@example.org",)), PARCEL)
        assert none.error is not None
        assert "gone@example.org" in none.error


@pytest.mark.parametrize("name", ["a\nBcc: evil@example.org", "a\r\n\r\nbody", "\x00", "\ud800 \udcff", "é" * 500])
async def test_a_hostile_name_makes_no_header_of_its_own(name: str) -> None:
    text = MessageText(f"{plain(name)} failed", name.replace("\ud800", "?"), {})
    with mail_server() as server:
        result = await deliver(to_mail(server), Parcel(key="k", text=text))
        assert result == DeliveryResult()
        mail = server.taken()
    assert mail["Bcc"] is None
    assert mail.get_all("Subject") is not None


async def test_apprise_delivers_to_each_of_its_services_only_once(tmp_path: Path) -> None:
    with web_server() as server:
        place = server.url.removeprefix("http://")
        good = f"json://{place}/good-{SECRET}"
        secret = secret_file(tmp_path, f"{good}\n\njson://{place}/other\n")
        server.answers = [200, 500, 200]
        recipient = Recipient(name="ops", method=Method.APPRISE, apprise=secret, timeout=60.0)
        first = await deliver(recipient, PARCEL)
        assert first.error == "service 2 (json) did not take it"
        assert len(first.done) == 1
        assert "json" not in first.done[0]
        second = await deliver(recipient, replace(PARCEL, done=first.done))
        assert second.error is None
        paths = [server.taken().path for _ in range(3)]
    assert [path.rpartition("/")[2] for path in paths] == [f"good-{SECRET}", "other", "other"]


async def test_a_service_that_has_a_message_gets_it_once_although_another_one_hangs_and_the_file_is_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_STARTING", 60.0)
    with web_server() as server, silent_server() as port:
        one, two, new = (f"json://{server.url.removeprefix('http://')}/{name}" for name in ("one", "two", "new"))
        silent = f"json://127.0.0.1:{port}/?rto=600&cto=600"
        secret = secret_file(tmp_path, f"{one}\n{two}\n{silent}")
        recipient = Recipient(name="ops", method=Method.APPRISE, apprise=secret, timeout=10.0)
        first = await deliver(recipient, PARCEL)
        assert first.error == "service 3 (json) takes longer than 10 seconds"
        secret_file(tmp_path, f"{new}\n{two}\n{one}\n{one}")
        second = await deliver(replace(recipient, timeout=60.0), replace(PARCEL, done=first.done))
        assert second.error is None
        assert second.done[:2] == first.done
        paths = [server.taken().path for _ in range(3)]
        assert server.none_waits()
    assert [path.rpartition("/")[2] for path in paths] == ["one", "two", "new"]


async def test_what_a_service_has_taken_is_known_although_the_process_that_sends_it_dies(tmp_path: Path) -> None:
    with web_server() as server, silent_server() as port:
        one = f"json://{server.url.removeprefix('http://')}/one"
        secret = secret_file(tmp_path, f"{one}\njson://127.0.0.1:{port}/?rto=600&cto=600")
        recipient = Recipient(name="ops", method=Method.APPRISE, apprise=secret, timeout=60.0)
        sending = asyncio.create_task(deliver(recipient, PARCEL))
        await asyncio.to_thread(server.taken)
        await eventually(lambda: waits_at(port))
        os.kill(waits_at(port)[0], signal.SIGKILL)
        result = await sending
    assert result.error == "the process that sends it died"
    assert len(result.done) == 1


def waits_at(port: int) -> list[int]:
    """The processes that send, and are connected to this port."""
    sockets = {
        f"socket:[{fields[9]}]"
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[2].endswith(f":{port:04X}") and fields[3] == "01"
    }
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"engine.notify.sending" in (path / "cmdline").read_bytes() and sockets & {
                str(link.readlink()) for link in (path / "fd").iterdir()
            }:
                found.append(int(path.name))
    return found


async def test_a_file_of_services_that_holds_only_comments_is_a_failure(tmp_path: Path) -> None:
    secret = secret_file(tmp_path, "# json://127.0.0.1/one\n\n  # json://127.0.0.1/two\n\t#")
    result = await deliver(Recipient(name="ops", method=Method.APPRISE, apprise=secret, timeout=60.0), PARCEL)
    assert result.error == f"{secret.file} names no service"


async def test_an_indented_comment_is_no_service(tmp_path: Path) -> None:
    with web_server() as server:
        place = server.url.removeprefix("http://")
        secret = secret_file(tmp_path, f"# ours\n  # json://{place}/old\n  json://{place}/new")
        recipient = Recipient(name="ops", method=Method.APPRISE, apprise=secret, timeout=60.0)
        assert (await deliver(recipient, PARCEL)).error is None
        assert server.taken().path.endswith("/new")
        assert server.none_waits()


async def test_a_url_that_apprise_does_not_know_is_not_repeated(tmp_path: Path) -> None:
    recipient = Recipient(name="ops", method=Method.APPRISE, apprise=secret_file(tmp_path, f"nonsense://{SECRET}"))
    result = await deliver(replace(recipient, timeout=60.0), PARCEL)
    assert result.error is not None
    assert "nonsense" in result.error
    assert SECRET not in result.error


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (Secret(file="/no/such/file"), "/no/such/file cannot be read: No such file or directory"),
        (Secret(command=("/no/such/program",)), "/no/such/program cannot be started: No such file or directory"),
        (Secret(command=("false",)), "false, which is to print a secret, ended with exit code 1"),
        (Secret(command=("true",)), "true gives nothing"),
        (Secret(file="/dev/null"), "/dev/null cannot be read: It is not a regular file"),
    ],
)
async def test_a_secret_that_cannot_be_read_is_a_failure(secret: Secret, why: str) -> None:
    with web_server() as server:
        assert (await deliver(to_web(server, token=secret), PARCEL)).error == why
        assert server.none_waits()


async def test_a_url_that_is_a_secret_is_not_sent_to_another_host_in_plain_text(tmp_path: Path) -> None:
    secret = secret_file(tmp_path, f"http://hooks.example.org/{SECRET}")
    result = await deliver(to_web(webhook_secret=secret), PARCEL)
    assert "is not https" in (result.error or "")
    assert SECRET not in (result.error or "")


async def test_a_token_of_two_lines_makes_no_header_of_its_own(tmp_path: Path) -> None:
    with web_server() as server:
        result = await deliver(to_web(server, token=secret_file(tmp_path, f"{SECRET}\nX-Evil: 1")), PARCEL)
        assert result.error is not None
        assert SECRET not in result.error
        assert server.none_waits()


async def test_no_secret_is_an_argument_of_any_process(tmp_path: Path) -> None:
    with web_server() as server:
        server.hold.clear()
        recipient = to_web(webhook_secret=secret_file(tmp_path, f"{server.url}/{SECRET}"))
        task = asyncio.create_task(deliver(recipient, PARCEL))
        await asyncio.to_thread(server.taken)
        arguments = b"\0".join(arguments_of_all())
        assert b"engine.notify.sending" in arguments
        assert SECRET.encode() not in arguments
        server.hold.set()
        assert await task == DeliveryResult()


def arguments_of_all() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


async def test_what_sends_it_ends_when_the_process_that_wanted_it_is_gone(tmp_path: Path) -> None:
    """Another one delivers the message then: it must not arrive twice."""
    pids = tmp_path / "pids"
    script = tmp_path / "inner.py"
    script.write_text(
        f"import os, pathlib, signal\npathlib.Path({str(pids)!r}).write_text(str(os.getpid()))\nsignal.pause()\n"
    )
    outer = (
        "import asyncio, sys\n"
        "from engine.domain.notifications import MessageText, Method, Recipient\n"
        "from engine.notify.delivery import Parcel, deliver\n"
        f"recipient = Recipient(name='o', method=Method.COMMAND, command=(sys.executable, {str(script)!r}))\n"
        "asyncio.run(deliver(recipient, Parcel(key='k', text=MessageText('s', 't', {}))))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", outer)
    await eventually(lambda: has_text(pids))
    process.kill()
    await process.wait()
    await until_gone(int(pids.read_text()))


@pytest.mark.parametrize(
    ("path", "said", "masked"),
    [
        ("/hook/a1b2", "no hook a1b2 here", "no *** *** here"),
        ("/x7/k9", "{path}: k9 of x7 is unknown", "***: *** of *** is unknown"),
        ("/in?k=q1", "q1 is wrong, q12 is not", "*** is wrong, q12 is not"),
        ("/in#ab12", "ab12", "***"),
    ],
)
async def test_no_error_repeats_a_short_piece_of_a_secret_url(
    tmp_path: Path, path: str, said: str, masked: str
) -> None:
    with web_server() as server:
        server.answers, server.answer_text = [404], said
        url = f"http://{server.place}{path}"
        result = await deliver(to_web(webhook_secret=secret_file(tmp_path, url)), PARCEL)
    assert result.error == f"{server.place} answers 404 Not Found: {masked}"


async def test_no_error_repeats_a_short_password(tmp_path: Path) -> None:
    with web_server() as server:
        server.answers, server.answer_text = [401], "p7 is no token, said (p7) of p70"
        result = await deliver(to_web(server, token=secret_file(tmp_path, "p7")), PARCEL)
    assert result.error == f"{server.place} answers 401 Unauthorized: *** is no token, said (***) of p70"


def test_the_host_of_a_service_of_apprise_may_be_a_secret() -> None:
    parts = set(order._parts_of_url("slack://T1JJ/Azx:pw@B2/C3"))
    assert {"T1JJ", "Azx:pw@B2", "C3"} <= parts
    assert {"ab", "cd", "tok"} <= set(order._parts_of_url("discord://ab:cd@tok/"))


async def test_a_secret_that_never_ends_is_a_failure_at_once(tmp_path: Path) -> None:
    secret = Secret(command=("yes",))
    error = (await deliver(to_web(webhook="https://127.0.0.1:1/", token=secret), PARCEL)).error
    assert error == "yes, which is to print a secret, prints more than 65,536 bytes"
