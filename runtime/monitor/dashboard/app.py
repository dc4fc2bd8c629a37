"""The dashboard's pages and its API: REST, and a stream of Server-Sent Events."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from numpy.typing import NDArray

from dpiqa.runtime.monitor.charts import CURVES, chart_file
from dpiqa.runtime.monitor.dashboard import schema
from dpiqa.runtime.monitor.dashboard.board import Board
from dpiqa.runtime.monitor.dashboard.commands import add_commands
from dpiqa.runtime.monitor.dashboard.fanout import Fanout
from dpiqa.runtime.monitor.dashboard.guard import STATIC
from dpiqa.runtime.monitor.history.archive import Archive, Part
from dpiqa.runtime.monitor.history.export import curve_csv
from dpiqa.runtime.monitor.messages import Act, Counts

log = logging.getLogger(__name__)

_MIN_S, _MAX_S = 1.0, 400 * 24 * 3600.0  # steps too short to change a time would never end
_HOUR_S = 3600.0
_MAX_OPACITY = 200.0
_BAD_BGR = (40, 40, 230)
Source = Annotated[str, Query(description="The camera's name")]
Since = Annotated[float | None, Query(ge=0, le=1e11, description="Unix seconds, by default an hour before `until`")]
Until = Annotated[float | None, Query(ge=0, le=1e11, description="Unix seconds, by default now")]
Points = Annotated[int, Query(ge=2, le=2000, description="Approximate maximum number of steps")]
Number = Annotated[int, InPath(ge=1, lt=2**63, description="The event's number")]
_ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": schema.Problem, "description": "Not found"}}
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-Sent Events `reading`, `event`, `status`, `action` and `snapshot`, each with the JSON"
        " object that the sinks write; `lost` if this listener was too slow for some",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    503: {"model": schema.Problem, "description": "Too many listeners"},
}


def make_app(
    board: Board, fanout: Fanout, archive: Archive, counts: Callable[[], Mapping[str, Counts]], act: Act
) -> FastAPI:
    """The app, which answers from the live board, the stream, the history and the message counts.

    `act` does what a person wants.
    """
    app = FastAPI(
        title="dpiqa monitor",
        version="1",
        summary="Live video quality: the current state of cameras, curves and events of the history.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(sqlite3.Error, _history_failed)
    _add_pages(app)
    _add_live(app, board, fanout, counts)
    _add_past(app, archive)
    add_commands(app, board, act)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _add_pages(app: FastAPI) -> None:
    files = {
        "/": STATIC / "index.html",
        "/static/curves.js": CURVES,
        "/static/uPlot.js": chart_file("uPlot.iife.js"),
        "/static/uPlot.css": chart_file("uPlot.min.css"),
    }
    for route, path in files.items():
        app.get(route, include_in_schema=False, response_class=FileResponse)(_file_endpoint(path))


def _file_endpoint(path: Path) -> Callable[[], FileResponse]:
    def respond() -> FileResponse:
        return FileResponse(path, headers={"cache-control": "no-cache"})

    return respond


def _add_live(app: FastAPI, board: Board, fanout: Fanout, counts: Callable[[], Mapping[str, Counts]]) -> None:
    @app.get("/api/cameras", tags=["live"])
    async def cameras() -> list[schema.Camera]:
        """The current state of all cameras, the one in most trouble first."""
        return board.cameras()

    @app.get("/api/thumbnail", tags=["live"], responses=_ABSENT | _picture("image/jpeg"), response_class=Response)
    async def thumbnail(source: Source) -> Response:
        """The latest picture of a camera."""
        snapshot = board.snapshot(source)
        if snapshot is None:
            raise HTTPException(404, "no picture of that camera")
        return Response(snapshot.jpeg, media_type="image/jpeg")

    @app.get("/api/map", tags=["live"], responses=_ABSENT | _picture("image/png"), response_class=Response)
    async def quality_map(source: Source) -> Response:
        """An overlay for the latest picture of a camera: the redder, the worse."""
        snapshot = board.snapshot(source)
        if snapshot is None or snapshot.map is None:
            raise HTTPException(404, "the model gives no map, or there is no picture of that camera")
        return Response(_overlay(snapshot.map, snapshot.jpeg), media_type="image/png")

    @app.get("/api/stream", tags=["live"], responses=_STREAM, response_class=Response)
    async def stream() -> Response:
        """All messages from now on."""
        if fanout.is_full:
            raise HTTPException(503, "too many listeners")
        return StreamingResponse(fanout.listen(), media_type="text/event-stream")

    @app.get("/api/health", tags=["live"])
    async def health() -> schema.Health:
        """The health of the dashboard and the other sinks."""
        sinks = {name: schema.SinkHealth.model_validate(outcomes) for name, outcomes in counts().items()}
        return schema.Health(listeners=fanout.listeners, lost=fanout.lost, sinks=sinks)


def _add_past(app: FastAPI, archive: Archive) -> None:
    @app.get("/api/curves", tags=["history"])
    def curves(since: Since = None, until: Until = None, points: Points = 60) -> dict[str, schema.Curve]:
        """The scores of all cameras over a period, by name, in steps of at least a minute."""
        scores = archive.curves(*_period(since, until), points)
        return {source: schema.Curve.model_validate(curve) for source, curve in scores.items()}

    @app.get("/api/past", tags=["history"])
    def past(source: Source, since: Since = None, until: Until = None, points: Points = 400) -> schema.Past:
        """One camera over a period."""
        began, ended = _period(since, until)
        return schema.Past(
            source=source,
            since=began,
            until=ended,
            curve=schema.Curve.model_validate(archive.curve(source, began, ended, points)),
            details=schema.Details.model_validate(archive.details(source, began, ended, points)),
            first=archive.first_time(source, began),
        )

    @app.get("/api/events", tags=["history"])
    def events(
        since: Since = None,
        until: Until = None,
        source: Annotated[str | None, Query(description="Only events of this camera")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[schema.PastEvent]:
        """The events that overlap a period, newest first."""
        period = _period(since, until)
        return [schema.PastEvent.model_validate(event) for event in archive.events(*period, source, limit)]

    @app.get("/api/actions", tags=["history"])
    def actions(
        since: Since = None,
        until: Until = None,
        source: Annotated[str | None, Query(description="Only what was done to this camera")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[schema.PastAction]:
        """What people did in a period, newest first."""
        period = _period(since, until)
        return [schema.PastAction.model_validate(action) for action in archive.actions(*period, source, limit)]

    @app.get("/api/csv", tags=["history"], responses=_CSV, response_class=Response)
    def csv(source: Source, since: Since = None, until: Until = None, points: Points = 400) -> Response:
        """The scores of one camera over a period, as its chart shows them."""
        curve = archive.curve(source, *_period(since, until), points)
        return Response(curve_csv(curve), media_type="text/csv", headers={"content-disposition": "attachment"})

    @app.get(
        "/api/events/{number}/{part}",
        tags=["history"],
        responses=_ABSENT | _picture("image/jpeg"),
        response_class=Response,
    )
    def event_picture(number: Number, part: Part) -> Response:
        """A picture of an event: when it was raised, large or small, before it and after it."""
        picture = archive.picture(number, part)
        if picture is None:
            raise HTTPException(404, "no picture of that event")
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


def _period(since: float | None, until: float | None) -> tuple[float, float]:
    ended = time.time() if until is None else until
    began = ended - _HOUR_S if since is None else since
    if not _MIN_S <= ended - began <= _MAX_S:
        raise HTTPException(422, "`since` must be before `until`, by at least a second and at most 400 days")
    return began, ended


def _picture(kind: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}}


def _overlay(quality: NDArray[np.float32], jpeg: bytes) -> bytes:
    """A PNG overlay with the proportions of the picture."""
    height, width = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)).shape
    quality = np.asarray(cv2.resize(quality, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    overlay = np.empty((height, width, 4), np.uint8)
    overlay[..., :3] = _BAD_BGR
    overlay[..., 3] = _MAX_OPACITY * (1 - np.clip(quality, 0, 100) / 100)
    return cv2.imencode(".png", overlay)[1].tobytes()


async def _history_failed(_: Request, error: Exception) -> Response:
    log.warning("dashboard: the history cannot be read (%s)", error)
    return JSONResponse({"detail": f"the history cannot be read ({error})"}, 503)
