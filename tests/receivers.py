"""Real servers that take messages: by HTTP and by SMTP, well or badly."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


@dataclass
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    answer: int = 0
    """The status that it gets."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebServer:
    """Takes posts, and answers each with the next of `answers`; the last one holds for all further ones."""

    posts: queue.Queue[Post] = field(default_factory=queue.Queue)
    answers: list[int] = field(default_factory=lambda: [200])
    answer_text: str = ""
    """`{path}` in it stands for the path of the request."""
    location: str = ""
    hold: threading.Event = field(default_factory=threading.Event)
    """No answer comes before it is set."""
    url: str = ""

    @property
    def place(self) -> str:
        """Its host and port."""
        return self.url.split("/")[2]

    def taken(self) -> Post:
        """The next post, waited for."""
        return self.posts.get(timeout=30)

    def none_waits(self) -> bool:
        return self.posts.empty()


@contextmanager
def web_server() -> Iterator[WebServer]:
    made = WebServer()
    made.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            made.posts.put(Post(self.path, dict(self.headers.items()), body, code))
            made.hold.wait()
            with suppress(OSError):
                self.send_response(code)
                if made.location:
                    self.send_header("Location", made.location)
                self.end_headers()
                self.wfile.write(made.answer_text.replace("{path}", self.path).encode())

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield made
    finally:
        made.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    mails: queue.Queue[EmailMessage] = field(default_factory=queue.Queue)
    refused: set[str] = field(default_factory=set)
    """Addresses that it refuses."""
    answer_to_quit: str | None = "221 Bye"
    """None: it never answers."""
    host: str = "127.0.0.1"
    port: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)

    def taken(self) -> EmailMessage:
        """The next mail, waited for."""
        return self.mails.get(timeout=30)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refused:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer_to_quit is None:
            await asyncio.Event().wait()
        return str(self.answer_to_quit)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.put(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


class _Controller(Controller):
    def __init__(self, server: MailServer, password: str | None, certificate: Path | None) -> None:
        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
            server.logins.append((data.login.decode(), data.password.decode()))
            is_right = data.password.decode() == password
            return AuthResult(success=is_right, handled=is_right)

        options: dict[str, Any] = {}
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            options = {"tls_context": context, "require_starttls": True}
        if password is not None:
            options |= {"authenticator": authenticate, "auth_required": True, "auth_exclude_mechanism": ["LOGIN"]}
        super().__init__(server, hostname=server.host, port=0, **options)

    def _trigger_server(self) -> None:
        """It would ask for the port that was given, which is 0."""
        self.port = cast(asyncio.Server, self.server).sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(*, password: str | None = None, certificate: Path | None = None) -> Iterator[MailServer]:
    """`certificate`: of a server that insists on STARTTLS."""
    made = MailServer()
    controller = _Controller(made, password, certificate)
    controller.start()
    made.port = controller.port
    try:
        yield made
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def answering_server(answer: bytes, *, again: bool = False) -> Iterator[int]:
    """The port of a server that answers each connection so and closes it; or, `again`, goes on and on."""
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(answer)
                    while again and not ended.wait(0.05):
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join()


def own_certificate(directory: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, that nobody else has signed."""
    made = directory / "certificate.pem"
    key = directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(made), "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made
