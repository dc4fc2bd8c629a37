"""MQTT 3.1.1 and 5: readings as they come, retained states, `offline` as last will.

Below the topic: `availability/CLIENT` (online, offline) for each monitor, and for each source `SOURCE/reading`,
`SOURCE/status`, `SOURCE/event/KIND` (both retained) and `SOURCE/action`, all JSON. Muted events are left out. Anything
published to `SOURCE/accept` accepts the changed view of that source, to `SOURCE/acknowledge` acknowledges its events; a
number published to `SOURCE/mute` mutes it for so many minutes, 0 no longer. With `home_assistant`, a
small JPEG goes to `SOURCE/picture` every ten seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.messages import (
    TEXT_MESSAGES,
    Act,
    Action,
    Event,
    LiveReading,
    Message,
    Snapshot,
    Status,
    to_json,
)
from dpiqa.runtime.monitor.settings.sinks import MqttSettings
from dpiqa.runtime.monitor.sinks.home_assistant import (
    announced_by,
    announced_level,
    announcements,
    device_topic,
    discovery,
    outdated_topics,
)
from dpiqa.runtime.monitor.sinks.queued import PartialWriteError

log = logging.getLogger(__name__)

_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
_MAX_WAIT_S = 30
_KEEP_ALIVE_S = 20
_GOODBYE_S = 1.0
_PICTURE_S = 10.0
_COMMANDS = ("accept", "acknowledge", "mute")
_MOST_MINUTES = 400 * 24 * 60


class Mqtt:
    """Publishes to one broker, and reconnects whenever it comes back.

    Retained messages are kept here and published again on every connection: the broker may have lost them, and of
    changes in the meantime only the outcome matters. Readings without a connection are lost. `sources` are the names of
    all sources, where they are known: what this monitor announced of others before is taken back.
    """

    name, linger_s = "mqtt", 0.0

    def __init__(self, settings: MqttSettings, act: Act, sources: Sequence[str] = ()) -> None:
        self.accepts = (*TEXT_MESSAGES, Snapshot) if settings.home_assistant else TEXT_MESSAGES
        self._picture_due_s: dict[str, float] = {}
        self._settings, self._topic, self._act = settings, settings.topic, act
        self._retained: dict[str, str] = {}
        self._lock = threading.Lock()  # between the sink's thread and paho's
        self._announced: dict[str, str] = {}  # the topic level of each source
        self._all_known, self._modernized = bool(sources), set[str]()
        self._availability = f"{self._topic}/availability/{settings.client_id or default_client_id()}"
        url = urlsplit(settings.url.get_secret_value())
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=_VERSIONS[settings.version])
        if url.username is not None:
            self._client.username_pw_set(unquote(url.username), unquote(url.password or ""))
        if url.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, _MAX_WAIT_S)
        if settings.home_assistant:
            for levels in ("+", "+/+"):
                self._client.message_callback_add(
                    f"{settings.discovery_topic}/{levels}/+/config", self._on_announcement
                )
        for source in sources:
            self._announce(source, source_topic(source))
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(
            url.hostname or "", url.port or (8883 if url.scheme == "mqtts" else 1883), _KEEP_ALIVE_S
        )
        self._client.loop_start()

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        lost = 0
        for message in messages:
            level = source_topic(message.source)
            if message.source not in self._announced:
                self._announce(message.source, level)
            if isinstance(message, Status) and message.state == "removed":
                del self._announced[message.source]
                self._retract(level)
                continue
            if isinstance(message, Event) and message.muted:
                continue
            if isinstance(message, Snapshot):
                self._publish_picture(message, level)
                continue
            payload = json.dumps(to_json(message), ensure_ascii=False)
            if isinstance(message, LiveReading):
                lost += not self._publish(f"{self._topic}/{level}/reading", payload)
            elif isinstance(message, Action):
                lost += not self._publish(f"{self._topic}/{level}/action", payload)
            else:
                kind = f"event/{message.kind}" if isinstance(message, Event) else "status"
                self._retain(f"{self._topic}/{level}/{kind}", payload)
        if lost or not self._client.is_connected():
            raise PartialWriteError(lost, "no connection to the broker")

    def close(self) -> None:
        """See Writer."""
        if self._client.is_connected():
            self._client.publish(self._availability, "offline", qos=1, retain=True).wait_for_publish(_GOODBYE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _announce(self, source: str, level: str) -> None:
        self._announced[source] = level
        for kind in KINDS:  # a previous process may have left one raised
            state = {"type": "event", "source": source, "kind": kind, "state": "cleared"}
            self._retain(f"{self._topic}/{level}/event/{kind}", json.dumps(state))
        if self._settings.home_assistant:
            prefix = self._settings.discovery_topic
            document = discovery(self._topic, self._availability, level, source)
            self._retain(device_topic(prefix, level), json.dumps(document))

    def _publish_picture(self, snapshot: Snapshot, level: str) -> None:
        """The latest picture, now and then; what is missed for want of a connection is of no use later."""
        now_s = time.monotonic()
        if now_s >= self._picture_due_s.get(snapshot.source, 0.0):
            self._picture_due_s[snapshot.source] = now_s + _PICTURE_S
            self._publish(f"{self._topic}/{level}/picture", snapshot.jpeg)

    def _retract(self, level: str) -> None:
        """Make the broker delete what is retained of a source, now or on reconnection.

        Its device goes first: Home Assistant could not read the empty states.
        """
        base = f"{self._topic}/{level}"
        if self._settings.home_assistant:
            self._retain(device_topic(self._settings.discovery_topic, level), "")
        for topic in (f"{base}/status", *(f"{base}/event/{kind}" for kind in KINDS)):
            self._retain(topic, "")

    def _retain(self, topic: str, payload: str) -> None:
        with self._lock:
            self._retained.pop(topic, None)  # they stay in the order of their publication
            self._retained[topic] = payload
            self._publish(topic, payload, is_retained=True)

    def _publish(self, topic: str, payload: str | bytes, is_retained: bool = False) -> bool:
        if not self._client.is_connected():
            return False
        info = self._client.publish(topic, payload, qos=int(is_retained), retain=is_retained)
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_connect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            log.warning("mqtt: the broker refused the connection (%s)", reason)
            return
        client.publish(self._availability, "online", qos=1, retain=True)
        topics = [f"{self._topic}/+/{command}" for command in _COMMANDS]
        if self._settings.home_assistant:
            topics += announcements(self._settings.discovery_topic, list(self._announced.values()))
        client.subscribe([(topic, 1) for topic in topics])
        with self._lock:
            for topic, payload in self._retained.items():
                self._publish(topic, payload, is_retained=True)

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        level, _, command = message.topic.removeprefix(f"{self._topic}/").partition("/")
        for source in [source for source, known in list(self._announced.items()) if known == level]:
            action = _action(source, command, bytes(message.payload))
            if action is None:
                log.warning("mqtt: %s: expected a number of minutes", message.topic)
            else:
                self._act(action)

    def _on_announcement(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        """Take back what the broker keeps of previous processes: sources that are gone, entities one by one."""
        prefix = self._settings.discovery_topic
        level = announced_level(prefix, message.topic)
        if level is None or not message.retain or not message.payload:
            return
        device = device_topic(prefix, level)
        if message.topic == device:
            is_gone = self._all_known and level not in list(self._announced.values())
            if is_gone and announced_by(bytes(message.payload)) == self._availability:
                self._retract(level)
        elif level not in self._modernized:
            self._modernized.add(level)
            for topic in outdated_topics(prefix, level):
                self._publish(topic, "", is_retained=True)
            self._publish(device, self._retained.get(device, ""), is_retained=True)

    def _on_disconnect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            log.warning("mqtt: connection lost (%s)", reason)


def _action(source: str, command: str, payload: bytes) -> Action | None:
    """What a message asks for, None where it makes no sense."""
    now = time.time()
    if command == "accept":
        return Action(source, "accept", "MQTT", now)
    if command == "acknowledge":
        return Action(source, "acknowledge", "MQTT", now)
    try:
        minutes = float(payload)
    except ValueError:
        return None
    if not math.isfinite(minutes) or not 0 <= minutes <= _MOST_MINUTES:
        return None
    until = now + 60 * minutes
    return Action(source, "mute", "MQTT", now, until=until) if minutes else Action(source, "unmute", "MQTT", now)


def default_client_id() -> str:
    """A name for this monitor that stays the same over restarts: by host, folder and command line."""
    started = "\0".join([str(Path.cwd()), *sys.argv[1:]])
    host = re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())
    return f"{host}_{hashlib.sha256(started.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def source_topic(source: str) -> str:
    """A source's name as one topic level: characters other than letters, digits, `-` and `_` become `_`.

    A changed name gets a digest appended, so that different sources stay distinct.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", source)
    if safe == source:
        return safe
    return f"{safe}_{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
