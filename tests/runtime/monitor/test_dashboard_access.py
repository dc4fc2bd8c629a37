"""Who may see the dashboard, and where it is served."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from live import free_port
from messages import status, wait_for
from pydantic import ValidationError
from served import NEVER, TOKEN, serving, snapshot

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.dashboard.sink import Dashboard
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.settings.sinks import DashboardSettings, HistorySettings, SinkSettings

SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_answer_has_the_security_headers(tmp_path: Path, token: str | None) -> None:
    with serving(tmp_path / "h.db", token=token) as (_, client):
        paths = ["/", "/api/cameras", "/api/past", "/static/app.js", "/static/uPlot.js", "/nowhere", "/login"]
        answers = [client.get(path) for path in paths]
        assert [answer.status_code for answer in answers] == (
            [200, 200, 422, 200, 200, 404, 303] if token is None else [401] * 6 + [200]
        )
    for answer in answers:
        assert SAFE.items() <= dict(answer.headers).items(), answer.url
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in answer.headers


@pytest.mark.slow
def test_without_the_token_there_is_only_the_login(tmp_path: Path) -> None:
    with serving(tmp_path / "h.db", host="0.0.0.0", token=TOKEN) as (sink, client):
        sink.write([status(), snapshot()], NEVER)
        document = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
        paths = [*document["paths"], "/", "/openapi.json", "/static/app.js", "/static/uPlot.js", "/docs", "/nowhere"]
        wrong = [
            {},
            {"authorization": "Bearer no"},
            {"authorization": TOKEN},
            {"cookie": "dpiqa=no"},
            {"cookie": "=;,"},
        ]
        for path in paths:
            for headers in wrong:
                answer = client.get(path, headers=headers, params={"source": "cam", "token": TOKEN})
                assert (path, answer.status_code) == (path, 401)
                assert "cam" not in answer.text.replace("camera", "")
        page = client.get("/", headers={"accept": "text/html"})
        assert page.status_code == 401
        assert '<form method="post" action="login">' in page.text
        assert client.get("/login.css").status_code == 200


def test_the_login_sets_a_cookie_that_is_not_the_token(tmp_path: Path) -> None:
    with serving(tmp_path / "h.db", host="0.0.0.0", token=TOKEN) as (_, client):
        refused = client.post("/login", data={"token": "not it"})
        assert refused.status_code == 401
        assert "set-cookie" not in refused.headers
        assert client.post("/login", content=b"token=" + b"x" * 5000).status_code == 413
        assert client.put("/login").status_code == 405
        welcome = client.post("/login", data={"token": f" {TOKEN} "})
        assert (welcome.status_code, welcome.headers["location"]) == (303, "./")
        cookie = welcome.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert client.get("/api/cameras").status_code == 200
        kept = {"cookie": cookie.partition(";")[0]}
        assert "Max-Age=0" in client.post("/logout").headers["set-cookie"]
    with serving(tmp_path / "h.db", host="0.0.0.0", token=TOKEN) as (_, client):
        assert client.get("/api/cameras", headers=kept).status_code == 200  # it outlives a restart
    with serving(tmp_path / "h.db", host="0.0.0.0", token=TOKEN[::-1]) as (_, client):
        assert client.get("/api/cameras", headers=kept).status_code == 401  # and ends with the token


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("cams.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
    ],
)
def test_a_name_rebound_to_this_machine_is_refused(tmp_path: Path, host: str, expected: int) -> None:
    with serving(tmp_path / "h.db", hosts=("cams.example",)) as (_, client):
        assert client.get("/api/cameras", headers={"host": host}).status_code == expected


def test_closing_ends_open_streams_at_once_and_frees_the_port(tmp_path: Path) -> None:
    before = threading.active_count()
    with serving(tmp_path / "h.db") as (sink, client), client.stream("GET", "/api/stream") as response:
        lines = response.iter_lines()
        next(lines)
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < 1
        list(lines)
    wait_for(lambda: threading.active_count() <= before, "the server's threads are gone")
    with socket.create_server(("127.0.0.1", sink.port)):
        pass


def test_an_address_for_others_demands_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**section: object) -> DashboardSettings:
        found = SinkSettings.model_validate({"dashboard": section}).dashboard
        assert found is not None
        return found

    for host in ("0.0.0.0", "::", "192.0.2.1", "cams.example"):
        with pytest.raises(ValidationError, match="can be reached from other machines: set a token"):
            read(host=host)
    with pytest.raises(ValidationError, match="at least 16"):
        read(host="0.0.0.0", token="short")
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert read(host=host).token is None
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read(host="::", token_file=tmp_path / "token").token == read(token=TOKEN).token
    with pytest.raises(ValidationError, match="gone: no such file"):
        read(token_file="gone")
    monkeypatch.setenv("DPIQA_DASHBOARD_TOKEN", TOKEN)
    assert SinkSettings.model_validate({"dashboard": ":80"}).dashboard == read(host="0.0.0.0", port=80)
    assert TOKEN not in repr(read())


def test_an_address_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    History(HistorySettings(path=tmp_path / "h.db")).close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"cannot serve the dashboard on 127.0.0.1:{port}, address already in use"
        ):
            Dashboard(DashboardSettings(port=port), tmp_path / "h.db", dict)
    settings = DashboardSettings.model_validate({"host": "no.such.host.invalid", "port": free_port(), "token": TOKEN})
    with pytest.raises(InputError, match=r"cannot serve the dashboard on no\.such\.host\.invalid"):
        Dashboard(settings, tmp_path / "h.db", dict)
