"""The dashboard over HTTP: what it answers, to whom, and what slow or strange clients cannot do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from messages import event, reading, status, wait_for
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from past import DAY_S, make_history
from served import NEVER, Served, serving, snapshot

from dpiqa.runtime.monitor.dashboard.sink import Dashboard
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.messages import Action, Message, to_json
from dpiqa.runtime.monitor.settings.sinks import DashboardSettings, HistorySettings


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "h.db") as served:
        yield served


def test_cameras_come_with_the_worst_first(dashboard: Served) -> None:
    sink, client = dashboard
    lost = [status("up", "lost"), reading(source="lost"), replace(status("down", "lost"), wall_time=1_700_000_009.0)]
    wrong = [status(source="wrong"), reading(source="wrong"), event(source="wrong"), snapshot("wrong")]
    poor = [status(source="poor"), reading(score=41, source="poor")]
    good = [status(source="good"), reading(score=81, source="good")]
    sink.write([*good, *poor, *wrong, *lost], NEVER)
    found = client.get("/api/cameras").json()
    assert [camera["source"] for camera in found] == ["lost", "wrong", "poor", "good"]
    assert (found[0]["state"], found[0]["since"]) == ("down", 1_700_000_009.0)
    assert [event["kind"] for event in found[1]["events"]] == ["Frozen"]
    assert found[1]["has_map"] is True
    assert found[2]["score"] == 41
    assert (found[0]["score"], found[0]["band"], found[0]["signals"]) == (None, None, {})  # no score of before
    assert found[2]["signals"]["brightness"] == 0.5
    sink.write([event("cleared", source="wrong"), status("removed", "lost")], NEVER)
    found = {camera["source"]: camera for camera in client.get("/api/cameras").json()}
    assert found.keys() == {"wrong", "poor", "good"}
    assert found["wrong"]["events"] == []


def test_a_file_that_ended_is_no_trouble(dashboard: Served) -> None:
    sink, client = dashboard
    sink.write([status(source="film"), reading(source="film", score=10), status("ended", "film")], NEVER)
    (film,) = client.get("/api/cameras").json()
    assert (film["state"], film["score"], film["trouble"]) == ("ended", None, 0)


def test_a_changed_view_is_accepted(tmp_path: Path) -> None:
    accepted = []
    History(HistorySettings(path=tmp_path / "h.db")).close()
    settings = DashboardSettings.model_validate({"port": 0})
    sink = Dashboard(settings, tmp_path / "h.db", dict, accepted.append)
    with httpx.Client(base_url=f"http://127.0.0.1:{sink.port}", timeout=30) as client:
        sink.write([status(), status(source="other"), event(kind="GlobalSceneChange")], NEVER)
        assert client.post("/api/accept", params={"source": "cam"}).status_code == 422  # as another site's page may
        assert client.post("/api/accept", params={"source": "other"}, headers={"x-dpiqa": "1"}).status_code == 404
        assert client.post("/api/accept", params={"source": "cam"}, headers={"x-dpiqa": "1"}).status_code == 202
    sink.close()
    assert [(action.source, action.action, action.by) for action in accepted] == [("cam", "accept", "dashboard")]


def test_events_are_acknowledged_and_cameras_muted(tmp_path: Path) -> None:
    done: list[Action] = []
    History(HistorySettings(path=tmp_path / "h.db")).close()
    sink = Dashboard(DashboardSettings.model_validate({"port": 0}), tmp_path / "h.db", dict, done.append)
    with httpx.Client(base_url=f"http://127.0.0.1:{sink.port}", timeout=30, headers={"x-dpiqa": "1"}) as client:

        def post(path: str, **params: str | float) -> int:
            return client.post(path, params={"source": "cam", **params}).status_code

        sink.write([status(), event(), event(kind="Black"), status(source="other")], NEVER)
        assert [camera["source"] for camera in client.get("/api/cameras").json()] == ["cam", "other"]
        assert post("/api/acknowledge", kind="ImageTooDark") == 404
        assert post("/api/acknowledge", kind="Frozen", by="Ada\n") == 202
        assert post("/api/mute", minutes=0) == 422
        assert post("/api/mute", minutes=30, by="Ada") == 202
        assert post("/api/unmute") == 404  # it is not muted
        assert client.post("/api/mute", params={"source": "cam", "minutes": 5}, headers={"x-dpiqa": ""}).is_success
        client.headers.pop("x-dpiqa")
        assert post("/api/mute", minutes=30) == 422  # as another site's page may ask
        client.headers["x-dpiqa"] = "1"
        sink.write([done[0]], NEVER)
        camera = client.get("/api/cameras").json()[0]
        by_kind = {one["kind"]: one["acknowledged_by"] for one in camera["events"]}
        assert (by_kind, camera["trouble"]) == ({"Frozen": r"Ada\n", "Black": None}, 100)
        sink.write([replace(status(), muted_until=2e9, muted_by="Ada")], NEVER)
        camera = next(one for one in client.get("/api/cameras").json() if one["source"] == "cam")
        assert (camera["muted_by"], camera["muted_until"], camera["trouble"]) == ("Ada", 2e9, 0)
        assert post("/api/unmute", by="Bob") == 202
    sink.close()
    assert [(one.action, one.by, one.kind) for one in done] == [
        ("acknowledge", r"Ada\n", "Frozen"),
        ("mute", "Ada", None),
        ("mute", "dashboard", None),
        ("unmute", "Bob", None),
    ]
    assert done[1].until == pytest.approx(done[1].wall_time + 30 * 60)


def test_the_history_of_a_camera_has_pictures_actions_and_a_table(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = History(HistorySettings(path=path))
    raised = replace(event(), picture=b"large", before=b"well", evidence={"held_s": 42.0})
    known = Action("cam", "acknowledge", "Ada", raised.began + 2, "Frozen")
    history.write([reading(), reading(1), raised, known, replace(event("cleared"), picture=b"over")], NEVER)
    history.write([replace(event("raised", "Black"), muted=True)], NEVER)
    history.close()
    with serving(path) as (_, client):
        period = {"since": raised.began - 1800, "until": raised.began + 1800, "source": "cam"}
        black, frozen = sorted(client.get("/api/events", params=period).json(), key=lambda one: one["kind"])
        assert (frozen["title"], frozen["text"]) == ("frozen", "no change in the picture for 42 s")
        assert (frozen["acknowledged_by"], frozen["acknowledged"]) == ("Ada", raised.began + 2)
        assert (frozen["muted"], black["muted"], black["acknowledged_by"]) == (False, True, None)
        assert frozen["pictures"] == ["thumbnail", "picture", "before", "after"]
        url = f"/api/events/{frozen['number']}"
        assert [client.get(f"{url}/{part}").content for part in ("picture", "before", "after")] == [
            b"large",
            b"well",
            b"over",
        ]
        assert client.get(f"{url}/evidence").status_code == 422
        (action,) = client.get("/api/actions", params=period).json()
        assert (action["action"], action["by"], action["kind"]) == ("acknowledge", "Ada", "Frozen")
        table = client.get("/api/csv", params=period | {"until": raised.began + 10})
        assert table.headers["content-type"].startswith("text/csv")
        assert table.text.splitlines()[0] == "time,score,lowest,highest"
        assert client.get("/api/past", params=period).json()["first"] == pytest.approx(raised.began, abs=60)


def test_pictures_and_maps(dashboard: Served) -> None:
    sink, client = dashboard
    sink.write([status(), snapshot("rtsp://h/a b?x=1&y"), snapshot("plain", None)], NEVER)
    query = {"source": "rtsp://h/a b?x=1&y"}
    jpeg = client.get("/api/thumbnail", params=query)
    assert jpeg.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(jpeg.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (180, 320, 3)
    png = client.get("/api/map", params=query)
    overlay = cv2.imdecode(np.frombuffer(png.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert overlay is not None
    assert overlay.shape == (180, 320, 4)
    assert overlay[[0, 0, -1, -1], [0, -1, 0, -1], 3].tolist() == [200, 0, 100, 0]
    assert client.get("/api/thumbnail", params={"source": "plain"}).status_code == 200
    assert client.get("/api/map", params={"source": "plain"}).status_code == 404
    assert client.get("/api/thumbnail", params={"source": "cam"}).status_code == 404


def test_the_stream_gives_every_message_as_the_sinks_write_it(dashboard: Served) -> None:
    sink, client = dashboard
    sent: list[Message] = [status(), reading(), event(), snapshot()]
    with client.stream("GET", "/api/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert "event: hello" in [next(lines) for _ in range(4)]
        began = time.monotonic()
        sink.write(sent, NEVER)
        got = [next(lines) for _ in range(3 * len(sent))]
        assert time.monotonic() - began < 1
    assert [line for line in got if line.startswith("event")] == [f"event: {to_json(one)['type']}" for one in sent]
    data = [json.loads(line.removeprefix("data: ")) for line in got if line.startswith("data")]
    assert data == [to_json(message) for message in sent]


def test_a_listener_that_does_not_read_holds_up_nobody(dashboard: Served) -> None:
    sink, client = dashboard
    with socket.create_connection(("127.0.0.1", sink.port)) as mute, client.stream("GET", "/api/stream") as other:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mute.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: client.get("/api/health").json()["listeners"] == 2, "both listen")
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(_until(other, '"last"')))
        reader.start()
        large = replace(event(), evidence={"reason": "x" * 200_000})
        slowest = 0.0
        for _ in range(100):
            began = time.monotonic()
            sink.write([large], NEVER)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
        wait_for(lambda: (sink.write([event(kind="last")], NEVER), not reader.is_alive())[1], "the other got it all")
        assert slowest < 1
        assert client.get("/api/health").json()["lost"] >= 20


def _until(response: httpx.Response, text: str) -> Iterator[str]:
    for line in response.iter_lines():
        yield line
        if text in line:
            return


def test_the_openapi_document_is_valid_and_keeps_its_word(tmp_path: Path) -> None:
    now = time.time()
    (name,) = make_history(tmp_path / "h.db", 1, 0.5, now)
    with serving(tmp_path / "h.db") as (sink, client):
        sink.write([status(source=name), reading(source=name), event(source=name), snapshot(name)], NEVER)
        document = client.get("/openapi.json").json()
        validate(document)
        seen = set()
        for command in ("accept", "acknowledge", "mute", "unmute"):
            assert document["paths"].pop(f"/api/{command}").keys() == {"post"}  # have tests of their own
        history = History(HistorySettings(path=tmp_path / "h.db"))
        history.write([Action(name, "mute", "Ada", now - 5, until=now)], NEVER)
        history.close()
        for path, methods in document["paths"].items():
            assert methods.keys() == {"get"}
            if path == "/api/stream":
                continue
            answer = client.get(
                path.replace("{number}", "1").replace("{part}", "thumbnail"),
                params={"source": name, "since": now - DAY_S},
            )
            assert answer.status_code == 200, answer.text
            ((kind, content),) = methods["get"]["responses"]["200"]["content"].items()
            assert answer.headers["content-type"].partition(";")[0] == kind
            if kind == "application/json":
                OAS31Validator(content["schema"] | {"components": document["components"]}).validate(answer.json())
                assert answer.json()
            seen.add(path)
        paths = "cameras thumbnail map health curves past events actions csv events/{number}/{part}"
        assert seen == {f"/api/{path}" for path in paths.split()}
        unknown = {method for methods in document["paths"].values() for method in methods} - {"get"}
        assert not unknown
        assert client.post("/api/cameras").status_code == 405


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": 5, "until": 4},
        {"since": 0, "until": 1e9},
        {"since": 1e9, "until": 1e9 + 1e-6},
        {"since": "nan"},
        {"points": 0},
        {"points": 10**9},
        {"limit": -1},
    ],
)
def test_a_strange_query_is_refused(dashboard: Served, query: dict[str, str | float]) -> None:
    _, client = dashboard
    path = "/api/events" if "limit" in query else "/api/curves"
    answer = client.get(path, params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("number", ["one", "0", "-1", str(2**63), "9" * 30])
def test_an_event_that_cannot_be_is_refused(dashboard: Served, number: str) -> None:
    _, client = dashboard
    assert client.get(f"/api/events/{number}/thumbnail").status_code == 422
    assert client.get(f"/api/events/{2**63 - 1}/thumbnail").status_code == 404


def test_a_history_that_breaks_is_reported_and_the_live_part_goes_on(dashboard: Served, tmp_path: Path) -> None:
    sink, client = dashboard
    (tmp_path / "h.db").write_bytes(b"no database" * 1000)
    answer = client.get("/api/events")
    assert answer.status_code == 503
    assert "the history cannot be read" in answer.json()["detail"]
    sink.write([status()], NEVER)
    assert len(client.get("/api/cameras").json()) == 1


def test_names_are_data_not_markup(dashboard: Served) -> None:
    sink, client = dashboard
    name = "<script>alert(1)</script>'\"\u2028\udcff"
    sink.write([status(source=name), reading(source=name)], NEVER)
    (camera,) = client.get("/api/cameras").json()
    assert camera["source"] == "<script>alert(1)</script>'\"\u2028\\udcff"


@pytest.mark.slow
def test_sixteen_cameras_and_a_week_answer_quickly(tmp_path: Path) -> None:
    now = 1_764_000_000.0  # the means of the week's steps depend on where they begin
    names = make_history(tmp_path / "h.db", 16, 7, now)
    with serving(tmp_path / "h.db") as (sink, client):
        sink.write([message for name in names for message in (status(source=name), reading(source=name))], NEVER)
        took: dict[str, float] = {}
        for days in (1 / 24, 1, 7):
            period = {"since": now - days * DAY_S, "until": now}
            for path in ("/api/curves", "/api/past", "/api/events", "/api/cameras"):
                began = time.monotonic()
                answer = client.get(path, params=period | {"source": names[7]})
                took[f"{path} {days:.2g} days"] = time.monotonic() - began
                assert answer.status_code == 200
            assert len(client.get("/api/curves", params=period).json()) == 16
        week = client.get("/api/past", params={"since": now - 7 * DAY_S, "until": now, "source": names[7]}).json()
    print({name: f"{seconds * 1000:.0f} ms" for name, seconds in took.items()})
    assert 350 < len(week["curve"]["times"]) <= 401
    assert 350 < len(week["details"]["times"]) <= 401
    assert min(week["curve"]["score"]) < 55 < max(week["curve"]["score"])
    assert max(took.values()) < 1.5, took  # a tenth of that where nothing else runs
