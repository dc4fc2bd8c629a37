"""Webhooks: messages posted as JSON, with retries while the server is unavailable."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, sleep_using_event, stop_after_delay, wait_random_exponential
from tenacity.stop import stop_any, stop_when_event_set

from dpiqa.runtime.monitor.messages import Action, Event, LiveReading, Message, Status, to_json
from dpiqa.runtime.monitor.settings.sinks import WebhookSettings
from dpiqa.runtime.monitor.sinks.queued import PartialWriteError

_TYPES: dict[str, type] = {"reading": LiveReading, "event": Event, "status": Status, "action": Action}
_RETRY_STATUSES = {408, 425, 429}
_FIRST_WAIT_S, _MAX_WAIT_S = 0.5, 30.0
_DEADLINES = 2  # timeouts that connecting, sending and the answer's head may take together

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every URL, with its secrets


class _Refused(Exception):
    """The server rejects the message for good."""


class _Unavailable(Exception):
    """The server cannot be reached, or asks for a later retry."""


class Webhook:
    """Posts messages in order to one URL; `number` is its position among the webhooks."""

    linger_s = 0.0

    def __init__(self, settings: WebhookSettings, number: int) -> None:
        self._settings, self.name = settings, f"webhook-{number}"
        self.accepts = tuple(_TYPES[name] for name in settings.types)
        self._host = urlsplit(settings.url.get_secret_value()).hostname
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, headers=headers)

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        lost, reason = 0, ""
        for message in messages:
            if isinstance(message, Event) and message.muted:
                continue
            try:
                self._deliver(message, closing)
            except (_Refused, _Unavailable) as error:
                lost, reason = lost + 1, str(error)
        if lost:
            raise PartialWriteError(lost, reason)

    def close(self) -> None:
        """See Writer."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    def _deliver(self, message: Message, closing: threading.Event) -> None:
        body = to_json(message)
        if self._settings.thumbnail and isinstance(message, Event) and message.thumbnail:
            body["thumbnail"] = base64.b64encode(message.thumbnail).decode()
        content = json.dumps(body).encode()
        retrying = Retrying(
            retry=retry_if_exception_type(_Unavailable),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_MAX_WAIT_S),
            stop=stop_any(stop_after_delay(self._settings.give_up_s), stop_when_event_set(closing)),
            sleep=sleep_using_event(closing),
            reraise=True,
        )
        retrying(self._post, content)

    def _post(self, content: bytes) -> None:
        deadline_s = _DEADLINES * self._settings.timeout_s
        try:
            status = self._loop.run_until_complete(asyncio.wait_for(self._status(content), deadline_s))
        except (asyncio.TimeoutError, TimeoutError):
            raise _Unavailable(f"{self._host} does not answer within {deadline_s:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            raise _Unavailable(f"{self._host} cannot be reached ({type(error).__name__})") from None
        if status in _RETRY_STATUSES or status >= 500:
            raise _Unavailable(f"{self._host} responds with {status}")
        if status >= 300:
            raise _Refused(f"{self._host} responds with {status}")

    async def _status(self, content: bytes) -> int:
        """The status of the answer, whose body is not read."""
        url = self._settings.url.get_secret_value()
        headers = {"content-type": "application/json"}
        async with self._client.stream("POST", url, content=content, headers=headers) as response:
            return response.status_code
