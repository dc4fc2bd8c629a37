"""What can be done on the dashboard: accept a view, acknowledge events, mute a camera."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Query

from dpiqa.runtime.monitor.dashboard import schema
from dpiqa.runtime.monitor.dashboard.board import Board
from dpiqa.runtime.monitor.messages import Act, Action
from dpiqa.runtime.text import visible

_MOST_MINUTES = 400 * 24 * 60
# The header keeps other sites' pages from asking: a browser sends it across sites only after asking for leave.
Leave = Annotated[str, Header(description="Anything")]
Source = Annotated[str, Query(description="The camera's name")]
By = Annotated[str, Query(min_length=1, max_length=100, description="Who asks for it")]
Kind = Annotated[str | None, Query(description="Only events of this kind")]
Minutes = Annotated[float, Query(gt=0, le=_MOST_MINUTES)]


def add_commands(app: FastAPI, board: Board, act: Act) -> None:
    """Add the routes; `act` does what they ask for, later."""
    options = {"tags": ["commands"], "status_code": 202, "responses": {404: {"model": schema.Problem}}}

    def camera(source: str) -> schema.Camera:
        for one in board.cameras():
            if one.source == source:
                return one
        raise HTTPException(404, "no such camera")

    @app.post("/api/accept", **options)
    async def accept_view(source: Source, x_dpiqa: Leave, by: By = "dashboard") -> None:
        """Accept the changed view of a camera as its usual one."""
        if not any(event.kind == "GlobalSceneChange" for event in camera(source).events):
            raise HTTPException(404, "that camera's view has not changed")
        act(Action(source, "accept", visible(by), time.time()))

    @app.post("/api/acknowledge", **options)
    async def acknowledge(source: Source, x_dpiqa: Leave, by: By = "dashboard", kind: Kind = None) -> None:
        """Acknowledge the events of a camera that last: somebody knows of them."""
        if not any(kind in (None, event.kind) for event in camera(source).events):
            raise HTTPException(404, "that camera has no such event")
        act(Action(source, "acknowledge", visible(by), time.time(), kind))

    @app.post("/api/mute", **options)
    async def mute(source: Source, x_dpiqa: Leave, minutes: Minutes, by: By = "dashboard") -> None:
        """Mute a camera: its events are recorded, but raise no alarm."""
        now = time.time()
        act(Action(camera(source).source, "mute", visible(by), now, until=now + 60 * minutes))

    @app.post("/api/unmute", **options)
    async def unmute(source: Source, x_dpiqa: Leave, by: By = "dashboard") -> None:
        """Mute a camera no longer; a maintenance window that lasts is over for this time."""
        if camera(source).muted_until is None:
            raise HTTPException(404, "that camera is not muted")
        act(Action(source, "unmute", visible(by), time.time()))
