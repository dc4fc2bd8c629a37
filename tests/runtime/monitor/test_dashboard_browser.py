"""The dashboard in a real browser, fed by a real monitor.

Screenshots go to the folder that the environment's DPIQA_SCREENSHOTS names, else to the tests' temporary folder.
"""

from __future__ import annotations

import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
from live import RtspServer, encode, moving, rtsp_missing
from made import MakeModel, make_spec, photo
from messages import event, reading, status, wait_for
from past import make_history
from playwright.sync_api import Browser, Page, expect
from real_servers import behind_proxy
from served import NEVER, TOKEN, serving, snapshot

from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.messages import Action
from dpiqa.runtime.monitor.settings.sinks import HistorySettings
from dpiqa.runtime.monitor.snapshots import jpeg_picture, jpeg_thumbnail

DESKTOP, PHONE = (1280, 900), (390, 844)
SHOWN_WITHIN_S = 3.0  # on a loaded machine; the test prints what it was
HIDDEN = "hush-hush"

_DELAYS = """source => new Promise(done => {
    const badge = document.querySelector(`[data-camera="${source}"] .score`), delays = [];
    new MutationObserver((_, observer) => {
        delays.push(Date.now() / 1000 - Number(badge.dataset.wallTime));
        if (delays.length === 15) { observer.disconnect(); done(delays); }
    }).observe(badge, { attributeFilter: ["data-wall-time"] });
})"""
_INK = """canvas => {
    if (!canvas) return 0;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return new Set(new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
}"""


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("DPIQA_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def opened(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, theme: str = "light", errors: str | None = None
) -> Iterator[Page]:
    """A page that must not complain (but for messages that match `errors`) nor ask anybody else."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light"
    )
    page, complaints, others = context.new_page(), [], set()
    page.set_default_timeout(30_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: others.add(urlsplit(request.url).netloc))
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert [text for text in complaints if not (errors and re.search(errors, text))] == []
    assert others == {urlsplit(url).netloc}


class Running:
    """A real `dpiqa monitor` with its dashboard."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_suffix(".log")
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "dpiqa", "monitor", str(config)]
            self.process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        wait_for(lambda: bool(self._address()) or self.process.poll() is not None, "the dashboard is served", 60)
        assert self._address(), self.log.read_text()

    @property
    def url(self) -> str:
        return self._address()

    def _address(self) -> str:
        found = re.search(r"dashboard: (http://\S+)", self.log.read_text())
        return found[1] if found else ""


@pytest.fixture(scope="module")
def rtsp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    if reason := rtsp_missing():
        pytest.skip(reason)
    clip = encode(tmp_path_factory.mktemp("clip") / "clip.mp4", moving(250))
    with RtspServer(clip, clip, clip) as server:
        yield server


CONFIG = """model: {model}
engine: onnxruntime
fps: 10
cameras:
  - {{name: door, source: "{door}"}}
  - {{name: "<img src=x onerror=alert(1)>", source: "{yard}"}}
  - {{name: gone, source: "rtsp://me:{hidden}@127.0.0.1:1/?token={hidden}"}}
sinks: {{sqlite: {history}, dashboard: "127.0.0.1:0"}}
"""


@pytest.fixture
def config(rtsp: RtspServer, save_model: MakeModel, tmp_path: Path) -> Path:
    path = tmp_path / "cameras.yaml"
    model = save_model(make_spec(("blur", "noise")), outputs=("score", "causes", "map"))
    values = {"model": model, "door": rtsp.url(0, f"me:{HIDDEN}@"), "yard": rtsp.url(1), "hidden": HIDDEN}
    path.write_text(CONFIG.format(**values, history=tmp_path / "h.db"))
    return path


@pytest.fixture
def monitor(config: Path) -> Iterator[Running]:
    running = Running(config)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def until(page: Page, expression: str) -> None:
    """Wait in steps: Page.wait_for_function evaluates text in the page, which its security policy forbids."""
    wait_for(lambda: bool(page.evaluate(expression)), expression, 30)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_live_cameras_in_a_browser(browser: Browser, monitor: Running, shots: Path) -> None:
    with opened(browser, monitor.url) as page:
        expect(page.locator('[data-camera="door"] .score')).to_have_text(re.compile(r"\d+\.\d"))
        delays = page.evaluate(_DELAYS, "door")
        print(f"a reading shows {median(delays):.2f} s after its frame came, {max(delays):.2f} s at most")
        assert median(delays) < SHOWN_WITHIN_S
        expect(page.locator(".card")).to_have_count(3)
        expect(page.locator(".card").first).to_have_attribute("data-camera", "gone")
        expect(page.locator('[data-camera="gone"] .chip')).to_have_text("signal loss")
        expect(page.locator("#cameras tbody tr")).to_have_count(3)
        expect(page.locator("#events li").first).to_contain_text("signal loss gone")
        until(page, "document.querySelector('[data-camera=door] img').naturalWidth === 128")
        until(page, "document.querySelector('[data-camera=door] .map').naturalWidth === 128")
        page.locator("#show-map").uncheck()
        expect(page.locator('[data-camera="door"] .map')).to_be_hidden()
        page.locator("#show-map").check()
        first = page.locator('[data-camera="door"] img').first.get_attribute("src")
        expect(page.locator('[data-camera="door"] img').first).not_to_have_attribute("src", first or "")

        page.locator('[data-camera="door"]').click()
        expect(page.locator("h1")).to_have_text("door")
        until(page, f"({_INK})(document.querySelector('#score-chart canvas')) > 4")
        expect(page.get_by_role("heading", name="Causes")).to_be_visible()
        expect(page.locator(".small")).to_have_count(8)
        page.wait_for_timeout(1500)
        page.screenshot(path=shots / "camera.png", full_page=True)
        assert HIDDEN not in page.content()
        page.get_by_text("← all cameras").click()
        expect(page.locator(".card")).to_have_count(3)

    backgrounds = set()
    for theme in ("light", "dark"):
        with opened(browser, monitor.url, DESKTOP, theme) as page:
            for view in ("", "#camera=door"):
                page.goto(monitor.url + view)
                expect(page.locator(".score:visible").first).to_have_text(re.compile(r"\d+\.\d"))
                for name, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
                    page.set_viewport_size({"width": width, "height": height})
                    page.wait_for_timeout(300)
                    assert fits(page), (name, view)
                    page.screenshot(path=shots / f"{name}-{theme}-{'camera' if view else 'all'}.png", full_page=True)
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2
    assert HIDDEN not in monitor.log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX signals")
def test_the_page_follows_a_reload_and_the_end(browser: Browser, monitor: Running, config: Path) -> None:
    lost = "ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|Failed to fetch"
    with opened(browser, monitor.url, errors=lost) as page:
        expect(page.locator('[data-camera="door"] .score')).to_be_visible()
        config.write_text(config.read_text().replace("name: gone", "name: new"))
        os.kill(monitor.process.pid, signal.SIGHUP)
        expect(page.locator('[data-camera="new"]')).to_be_visible()
        expect(page.locator('[data-camera="gone"]')).to_have_count(0)
        expect(page.locator("#link")).to_have_text("live")
        with socket.create_connection(("127.0.0.1", urlsplit(monitor.url).port or 0)) as mute:
            mute.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in mute.recv(100)
            began = time.monotonic()
            monitor.process.send_signal(signal.SIGTERM)
            assert monitor.process.wait(10) == 0
            assert time.monotonic() - began < 2
        expect(page.locator("#link")).to_have_text("no connection")
    assert "Traceback" not in monitor.log.read_text()


def test_all_that_is_wrong_can_be_read_on_a_phone(browser: Browser, tmp_path: Path, shots: Path) -> None:
    kinds = ("QualityDrop", "ImageTooDark", "Frozen")
    wrong = [replace(event(kind=kind), evidence={"likely_cause": "exposure_low"}) for kind in kinds]
    with serving(tmp_path / "h.db") as (sink, _):
        sink.write([status(), reading(), *wrong], NEVER)
        with opened(browser, f"http://127.0.0.1:{sink.port}/#camera=cam", PHONE) as page:
            chips = page.locator(".facts .chip")
            expect(chips).to_have_count(len(kinds))
            expect(chips.first).to_contain_text("quality drop: exposure low since")
            ends = "[...document.querySelectorAll('.facts .chip')].map(chip => chip.getBoundingClientRect().right)"
            assert max(page.evaluate(ends)) < PHONE[0]
            page.screenshot(path=shots / "phone-trouble.png")


@pytest.mark.slow
def test_a_person_knows_mutes_and_looks(browser: Browser, tmp_path: Path, shots: Path, axe: str) -> None:
    """The buttons of a camera, its event's pictures, search and groups, a free time range and its CSV."""
    began, done = time.time() - 600, list[Action]()
    pictures = {name: jpeg_picture(photo(360, 640, seed)) for seed, name in enumerate(("picture", "before"), 1)}
    wrong = replace(
        event(), began=began, evidence={"held_s": 42.0}, thumbnail=jpeg_thumbnail(photo(180, 320)), **pictures
    )
    up = replace(status(), wall_time=began, group="street")
    scored = [replace(reading(), wall_time=began + 60 * minute) for minute in range(10)]
    history = History(HistorySettings(path=tmp_path / "h.db"))
    history.write([up, *scored, wrong], NEVER)

    def act(action: Action) -> None:
        done.append(action)
        sink.write([action, replace(up, muted_until=action.until, muted_by=action.until and action.by)], NEVER)

    with serving(tmp_path / "h.db", act=act) as (sink, _):
        other = [replace(status(source="yard"), group="garden"), reading(source="yard")]
        sink.write([up, scored[-1], wrong, *other], NEVER)
        with opened(browser, f"http://127.0.0.1:{sink.port}/", DESKTOP) as page:
            expect(page.locator("#summary")).to_have_text("2 cameras, 1 in trouble")
            page.get_by_label("search cameras").fill("YARD")
            expect(page.locator(".card")).to_have_count(1)
            page.get_by_label("search cameras").fill("")
            page.get_by_label("group").select_option("street")
            expect(page.locator(".card")).to_have_attribute("data-camera", "cam")
            assert violations(page, axe) == []
            page.get_by_label("name", exact=True).fill("Ada")
            page.locator(".card").click()
            expect(page.locator(".facts .chip")).to_contain_text("no change in the picture for 42 s")
            page.get_by_role("button", name="acknowledge").click()
            expect(page.locator(".facts .chip")).to_contain_text("for 42 s, Ada knows")
            expect(page.locator("#summary")).to_have_text("2 cameras")
            page.get_by_label("How long to mute").select_option("2 hours")
            expect(page.locator(".facts .chip").first).to_contain_text("muted until")
            page.get_by_role("button", name="end the mute").click()
            expect(page.get_by_label("How long to mute")).to_be_visible()
            page.get_by_role("button", name="Open the pictures: frozen").click()
            dialog = page.get_by_role("dialog")
            for name in ("before", "when it was raised"):
                dialog.get_by_role("button", name=name).click()
                until(page, "document.querySelector('dialog img').naturalWidth === 640")
            page.screenshot(path=shots / "pictures.png")
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            since = page.get_by_label("from", exact=True)
            page.get_by_role("button", name="week").click()  # shows only where there is anything
            wait_for(lambda: abs(local(since.input_value()) - began) < 120, "the range begins with the data")
            page.route("**/api/past?*", lambda _: None)  # no answer: the link goes with the choice
            since.fill(datetime.fromtimestamp(began + 150).isoformat(timespec="seconds"))
            since.press("Tab")
            with page.expect_download() as downloaded:
                page.get_by_role("link", name="CSV").click()
            assert 6 <= len(downloaded.value.path().read_text().splitlines()) <= 9
            page.unroute_all()
            page.reload()
            expect(page.get_by_label("name", exact=True)).to_have_value("Ada")
            expect(page.get_by_role("heading", name="cam", exact=True)).to_be_visible()
            assert violations(page, axe) == []
    history.close()
    assert [(one.action, one.by) for one in done] == [("acknowledge", "Ada"), ("mute", "Ada"), ("unmute", "Ada")]


def violations(page: Page, axe: str) -> list[str]:
    listed = "axe.run().then(all => all.violations.map(one => `${one.id}: ${one.nodes[0].html}`))"
    return page.evaluate(f"{axe}; {listed}")


def local(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/cameras/"])
def test_a_person_signs_in(path: str, browser: Browser, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "h.db", host="0.0.0.0", token=TOKEN) as (sink, _),
        behind_proxy(sink.port, path) as url,
    ):
        sink.write([status(), reading(), snapshot(quality_map=None)], NEVER)
        with opened(browser, url, PHONE, errors="401|404|Autofocus") as page:  # 404: an icon of JSON
            assert fits(page)
            page.get_by_label("Token").fill("not it")  # maybe before the page has put its cursor there
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_have_text("Wrong token.")
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator('[data-camera="cam"] .score')).to_have_text("80.0")
            expect(page.locator("#link")).to_have_text("live")
            expect(page.locator('[data-camera="cam"] img').first).to_have_js_property("naturalWidth", 320)
            assert page.evaluate("document.cookie") == ""
            page.goto(f"{url}api/cameras?", wait_until="load")
            page.context.clear_cookies()
            page.reload()  # asked for something deeper, it is the same form
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator("#link")).to_have_text("live")


def test_the_last_hour_is_that_of_the_monitors_clock(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "h.db") as (sink, _):
        sink.write([replace(status(), wall_time=time.time() - 600)], NEVER)
        with opened(browser, f"http://127.0.0.1:{sink.port}/#camera=cam") as page:
            expect(page.get_by_label("to", exact=True)).not_to_have_value("")  # else it loads while the clock is set
            page.clock.set_system_time(datetime.now() - timedelta(days=1))
            page.reload()
            expect(page.locator(".state-up")).to_contain_text("up for 10 min")
            end = page.get_by_label("to", exact=True)
            expect(end).not_to_have_value("")
            assert abs(local(end.input_value()) - time.time()) < 60


@pytest.mark.slow
def test_the_strongest_of_ten_causes_are_lines(browser: Browser, tmp_path: Path, shots: Path) -> None:
    names = ["blur", "noise", "compression", "dark", "bright", "contrast", "colour", "banding", "motion", "obstruction"]
    began = time.time() - 600
    messages = []
    for at in range(600):
        causes = {name: (number + 1) / 12 + 0.05 * math.sin(at / (9 + number)) for number, name in enumerate(names)}
        messages.append(replace(reading(at), wall_time=began + at, causes=causes))
    history = History(HistorySettings(path=tmp_path / "h.db"))
    history.write(messages, NEVER)
    history.close()
    with serving(tmp_path / "h.db") as (sink, _):
        sink.write([replace(status(), wall_time=began), messages[-1]], NEVER)
        for theme, size in product(("light", "dark"), (PHONE, DESKTOP)):
            with opened(browser, f"http://127.0.0.1:{sink.port}/#camera=cam", size, theme) as page:
                lines = page.locator("#causes .u-series:not(.u-off) th")
                expect(lines).to_have_text(["time", "banding", "colour", "motion", "obstruction"], ignore_case=True)
                page.locator("#causes .u-series", has_text="noise").click()
                expect(lines).to_have_count(6)
                assert page.locator("#causes canvas").evaluate(_INK) > 50
                assert fits(page)
                page.locator("#causes").screenshot(path=shots / f"causes-{theme}-{size[0]}.png")


@pytest.mark.slow
def test_a_week_of_sixteen_cameras_in_a_browser(browser: Browser, tmp_path: Path, shots: Path) -> None:
    now = time.time()
    names = make_history(tmp_path / "h.db", 16, 7, now)
    with serving(tmp_path / "h.db") as (sink, _):
        for name in names:
            sink.write([status(source=name), reading(source=name, score=80), snapshot(name, None)], NEVER)
        sink.write([event(source=names[3], kind="ImageTooDark")], NEVER)
        with opened(browser, f"http://127.0.0.1:{sink.port}/") as page:
            expect(page.locator(".card")).to_have_count(16)
            expect(page.locator(".card").first).to_have_attribute("data-camera", names[3])
            expect(page.locator("#map-switch")).to_be_hidden()  # this model gives no map
            until(page, f"({_INK})(document.querySelector('.spark canvas')) > 2")
            page.screenshot(path=shots / "sixteen.png", full_page=True)
            page.locator(f'[data-camera="{names[7]}"]').click()
            for span in ("day", "week"):
                began = time.monotonic()
                with page.expect_response("**/api/past**") as answered:
                    page.get_by_role("button", name=span).click()
                assert answered.value.ok
                until(page, f"({_INK})(document.querySelector('#score-chart canvas')) > 4")
                took = time.monotonic() - began
                print(f"a {span} is drawn after {took:.2f} s")
                assert took < SHOWN_WITHIN_S
                expect(page.locator("#events li")).to_have_count(4 if span == "day" else 28)
            page.screenshot(path=shots / "week.png", full_page=True)
            box = page.locator("#score-chart .u-over").bounding_box()
            assert box is not None
            middle = box["y"] + box["height"] / 2
            page.mouse.move(box["x"] + box["width"] * 0.5, middle)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
            with page.expect_response("**/api/past**") as answered:
                page.mouse.up()
            asked = dict(pair.split("=") for pair in urlsplit(answered.value.url).query.split("&"))
            assert 0.09 < (float(asked["until"]) - float(asked["since"])) / (7 * 86400) < 0.11
            expect(page.get_by_role("button", name="week")).to_have_attribute("aria-pressed", "false")
