"""Tells systemd that the monitor is ready, and that it still scores."""

from __future__ import annotations

import logging
import os
import socket
from time import monotonic

log = logging.getLogger(__name__)


class Supervisor:
    """What started this process: systemd with `Type=notify`, or nobody who asks."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # in Linux's abstract namespace
            self._address = "\0" + self._address[1:]
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self._interval_s = int(watchdog_us) / 4e6 if watchdog_us.isdecimal() else None
        self._due_s = 0.0

    def ready(self) -> None:
        """The monitor runs from now on."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The monitor is about to end."""
        self._tell("STOPPING=1")

    def beat(self) -> None:
        """The loop that scores has come round; told four times in each period of the watchdog."""
        if self._interval_s is not None and monotonic() >= self._due_s:
            self._due_s = monotonic() + self._interval_s
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.settimeout(0.1)
                notify.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told '%s' (%s)", state, error)
            self._address = ""
