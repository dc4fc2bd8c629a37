"""A Home Assistant of its own, set up and asked as its users do: over the interface of its pages."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from messages import wait_for
from real_servers import free_port
from typing_extensions import Self

_START_S = 600  # the first start installs what the integrations need
_END_S = 60
_CLIENT = "http://127.0.0.1/"
_SETTINGS = "http: {{ server_host: 127.0.0.1, server_port: {port} }}\nlogger: {{ default: warning }}\n"
_COMPLAINT = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) .*(mqtt|dpiqa|template|sensor|components\.image)")


class HomeAssistant:
    """With one user, who added the broker at a port of this machine; `command` starts it, its files are in `folder`."""

    def __init__(self, command: str, folder: Path, broker_port: int) -> None:
        self._command, self._folder, self._broker_port = command, folder, broker_port
        self._port, self._token = free_port(), ""
        self._process: subprocess.Popen[bytes] | None = None
        self.complaints: list[str] = []  # the warnings and errors that may be about what it was sent

    def __enter__(self) -> Self:
        self._folder.mkdir()
        (self._folder / "configuration.yaml").write_text(_SETTINGS.format(port=self._port))
        self.start()
        try:
            self._set_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers or, once it is set up, runs."""
        with (self._folder / "output.txt").open("w") as output:
            command = [self._command, "--config", str(self._folder)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for(self._answers, "Home Assistant", _START_S)

    def stop(self) -> None:
        """End it, and keep what it complained of."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_END_S)
            self._process = None
            self.complaints += filter(_COMPLAINT.match, (self._folder / "output.txt").read_text().splitlines())

    def states(self) -> dict[str, dict[str, Any]]:
        """All entities by their names, with state and attributes."""
        return {entity["entity_id"]: entity for entity in self._ask("/api/states")}

    def state(self, entity: str) -> str:
        """The state of an entity, "" for one that there is not."""
        return self.states().get(entity, {}).get("state", "")

    def render(self, template: str) -> Any:
        """What a template gives that renders JSON."""
        return self._ask("/api/template", {"template": template})

    def publish(self, topic: str, payload: str, retain: bool = False) -> None:
        """Publish over the broker, as an automation does."""
        self._ask("/api/services/mqtt/publish", {"topic": topic, "payload": payload, "retain": retain})

    def fetch(self, path: str, body: object = None) -> bytes:
        """What it answers; `body` is posted, as JSON if it is not bytes. Raises OSError."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        if not isinstance(body, bytes):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise OSError(f"{path}: {error.code} {error.read()[:300]!r}") from None

    def _ask(self, path: str, body: object = None) -> Any:
        return json.loads(self.fetch(path, body))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended: {(self._folder / 'output.txt').read_text()[-2000:]}"
        try:
            if not self._token:
                return bool(self.fetch("/manifest.json"))
            return self._ask("/api/config")["state"] == "RUNNING"
        except OSError:
            return False

    def _set_up(self) -> None:
        user = {"name": "a", "username": "a", "password": "a", "client_id": _CLIENT, "language": "en"}
        code = self._ask("/api/onboarding/users", user)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": _CLIENT}
        self._token = self._ask("/auth/token", urlencode(form).encode())["access_token"]
        flows = "/api/config/config_entries/flow"
        flow = self._ask(flows, {"handler": "mqtt"})
        flow = self._ask(f"{flows}/{flow['flow_id']}", {"broker": "127.0.0.1", "port": self._broker_port})
        assert flow["type"] == "create_entry", flow
