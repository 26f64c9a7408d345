"""Delivery by e-mail: plain text by SMTP, taken if the server takes it for one address."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate

from engine.domain.notifications import Tls
from engine.notify.sending.order import DeliveryError, Order, Result, host_and_port


def send(order: Order) -> Result:
    """Raises DeliveryError."""
    settings, password = order.settings, order.secret("password")
    host = host_and_port(settings["host"], settings["port"])
    order.waits_for = host
    try:
        with _session(order) as server:
            if password is not None:
                server.login(settings["user"], password)
            refused = server.send_message(_mail(order), settings["sender"], list(settings["to"]))
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"{host} refuses every address: {_answers(error.recipients)}") from None
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(f"{host} refuses the user: {error.smtp_code} {_text(error.smtp_error)}") from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{host} answers {error.smtp_code} {_text(error.smtp_error)}") from None
    except smtplib.SMTPServerDisconnected:
        raise DeliveryError(f"{host} closed the connection before it took the message") from None
    except smtplib.SMTPException as error:
        raise DeliveryError(f"{host}: {error}") from None
    except OSError as error:
        raise DeliveryError(f"{host} cannot be reached: {error.strerror or error}") from None
    return Result(refused=f"{host} refuses {_answers(refused)}; others have the message" if refused else None)


@contextmanager
def _session(order: Order) -> Iterator[smtplib.SMTP]:
    """A session whose QUIT waits for no answer: by then the server has taken or refused the message."""
    server = _connected(order)
    try:
        yield server
    finally:
        with suppress(OSError):
            server.putcmd("QUIT")
        server.close()


def _connected(order: Order) -> smtplib.SMTP:
    """A connection to the mail server. Where its greeting or TLS fails, smtplib ends it."""
    settings, tls = order.settings, Tls(order.settings["tls"])
    place = settings["host"], settings["port"]
    context = ssl.create_default_context()
    if tls is Tls.TLS:
        return smtplib.SMTP_SSL(*place, context=context)
    server = smtplib.SMTP(*place)
    try:
        if tls is Tls.STARTTLS:
            server.starttls(context=context)
    except BaseException:
        with suppress(OSError):
            server.close()
        raise
    return server


def _mail(order: Order) -> EmailMessage:
    sender = order.settings["sender"]
    mail = EmailMessage()
    mail["Subject"] = _valid(order.subject)
    mail["From"] = sender
    mail["To"] = ", ".join(order.settings["to"])
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{order.key}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_valid(order.text))
    return mail


def _valid(text: str) -> str:
    """A name may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _answers(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address} ({code} {_text(said)})" for address, (code, said) in refused.items())


def _text(said: bytes | str) -> str:
    return said if isinstance(said, str) else said.decode("utf-8", "replace")
