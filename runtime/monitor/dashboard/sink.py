"""The dashboard as a sink: live data comes from messages, the rest from the history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dpiqa.runtime.monitor.dashboard.app import make_app
from dpiqa.runtime.monitor.dashboard.board import Board
from dpiqa.runtime.monitor.dashboard.fanout import Fanout
from dpiqa.runtime.monitor.dashboard.guard import Guard
from dpiqa.runtime.monitor.dashboard.server import Server
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.messages import Act, Counts, Message
from dpiqa.runtime.monitor.settings.sinks import DashboardSettings


class Dashboard:
    """Serves the dashboard from its own thread.

    `history` is the SQLite file that a monitor writes; `counts` returns the message counts of every sink, by name;
    `act` does what a person wants. Raises InputError if the address cannot be bound.
    """

    name, linger_s = "dashboard", 0.1
    accepts: tuple[type, ...] = (object,)

    def __init__(
        self,
        settings: DashboardSettings,
        history: Path,
        counts: Callable[[], Mapping[str, Counts]],
        act: Act = lambda action: None,
    ) -> None:
        self._board, self._fanout = Board(), Fanout()
        app = make_app(self._board, self._fanout, Archive(history), counts, act)
        self._server = Server(Guard(app, settings), settings.host, settings.port)

    @property
    def port(self) -> int:
        """The port it listens on: a free one if the settings have 0."""
        return self._server.port

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        self._board.apply(messages)
        self._fanout.publish(messages)

    def close(self) -> None:
        """See Writer."""
        self._fanout.close()
        self._server.close()
