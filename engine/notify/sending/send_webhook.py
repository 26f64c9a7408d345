"""Delivery by a webhook: a POST of JSON, taken if the answer is 2xx. No redirection is followed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from engine.config.recipients import hides_secrets, is_web_url
from engine.notify.sending.order import DeliveryError, Order, Result, host_and_port

_MOST_SAID: Final = 65_536
"""Bytes of an answer that are read: a secret that it repeats must not be cut before it is masked."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect: the request would become a GET, and take the token elsewhere."""


def send(order: Order) -> Result:
    """Raises DeliveryError."""
    url, token = order.secret("webhook_secret") or order.settings["webhook"], order.secret("token")
    if not is_web_url(url):
        raise DeliveryError("the URL of the webhook must begin with http:// or https://")
    if (token is not None or order.settings["webhook_secret"] is not None) and not hides_secrets(url):
        raise DeliveryError(
            "the URL of the webhook is not https: its secret would be sent to another host in plain text"
        )
    headers = {"Content-Type": "application/json", "User-Agent": "dbtend", "Idempotency-Key": order.key}
    if token is not None:
        if not (token.isascii() and token.isprintable()):
            raise DeliveryError("the token of the webhook holds more than one line of printable text")
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - the URL was checked
        url, json.dumps(order.document).encode(), headers, method="POST"
    )
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    place = host_and_port(parts.hostname or "", port)
    order.waits_for = place
    try:
        with urllib.request.build_opener(_NoRedirects).open(request):
            return Result()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_MOST_SAID).decode("utf-8", "replace").strip()
        raise DeliveryError(f"{place} answers {error.code} {error.reason}" + (f": {said}" if said else "")) from None
    except urllib.error.URLError as error:
        why = error.reason.strerror if isinstance(error.reason, OSError) else None
        raise DeliveryError(f"{place} cannot be reached: {why or error.reason}") from None
    except ConnectionError:
        raise DeliveryError(f"{place} closed the connection before it answered") from None
    except OSError as error:
        raise DeliveryError(f"{place} cannot be reached: {error.strerror or error}") from None
    except HTTPException:
        raise DeliveryError(f"{place} gives no answer of HTTP") from None
