"""The page in docs/demo, in a real browser: the scores of `dpiqa score`, a camera, no network, no request elsewhere."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dpiqa import Scorer
from dpiqa.runtime.spec import InputSpec
from dpiqa.runtime.video import read_video

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run(["bash", str(ROOT / "docs" / "demo" / "build.sh"), str(folder)], check=True)
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(chromium: Browser, server: ThreadingHTTPServer) -> Iterator[Page]:
    address = f"http://127.0.0.1:{server.server_port}/"
    page = chromium.new_page(permissions=["camera"])
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    expect(page.locator("body[data-ready=yes]")).to_be_attached(timeout=60_000)
    yield page
    assert [url for url in requests if not url.startswith((address, "blob:", "data:"))] == []
    page.close()


def _score(page: Page, path: Path) -> float:
    page.locator("#time").evaluate("line => line.textContent = ''")
    page.set_input_files("#file", str(path))
    expect(page.locator("#time")).to_contain_text("ms", timeout=60_000)
    return float(page.locator("#value").inner_text())


def test_the_page_chooses_a_shape_as_the_contract_does() -> None:
    if shutil.which("node") is None:
        pytest.skip("needs node")
    others = [{"height": 224, "width": 384}, {"height": 384, "width": 224}, {"height": 288, "width": 384}]
    rng = np.random.default_rng(0)
    sizes = [(500, 500), (1080, 1920), (96, 224), *map(tuple, rng.integers(32, 4097, (300, 2)).tolist())]
    for several in (others, []):
        spec = InputSpec.model_validate({"height": 384, "width": 384} | ({"other_shapes": several} if several else {}))
        module = (ROOT / "docs" / "demo" / "contract.js").read_text()
        script = f"""{module}
        const input = {spec.model_dump_json()}, sizes = {json.dumps(sizes)};
        const chosen = sizes.map(([height, width]) => shapeFor(input, {{ height, width }}));
        console.log(JSON.stringify(chosen.map(shape => [shape.height, shape.width])));"""
        done = subprocess.run(["node", "--input-type=module"], input=script, capture_output=True, text=True, check=True)
        nearest = [spec.nearest(*size) for size in sizes]
        assert json.loads(done.stdout) == [[shape.height, shape.width] for shape in nearest]


def test_a_picture_gets_the_score_of_the_command(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), next(read_video(str(ROOT / "examples" / "clip.mp4"))).pixels)
    reading = Scorer("dpiqa-lite0-int8", engine="onnxruntime").score(path)
    assert _score(page, path) == pytest.approx(reading.score, abs=0.5)
    assert page.locator("#band").inner_text() == reading.band
    expect(page.locator("#hint")).to_be_hidden()
    assert page.locator("#causes li").count() == 4
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), cv2.resize(np.asarray(cv2.imread(str(path))), (200, 120)))
    assert _score(page, small) == pytest.approx(Scorer("dpiqa-lite0-int8", "onnxruntime").score(small).score, abs=0.5)


def test_nothing_to_see_is_void_and_no_picture_is_refused(page: Page, tmp_path: Path) -> None:
    black, text = tmp_path / "black.png", tmp_path / "text.png"
    cv2.imwrite(str(black), np.zeros((300, 400, 3), np.uint8))
    text.write_text("not a picture")
    assert _score(page, black) == 0
    expect(page.locator("#band")).to_have_text("black, nothing to see")
    page.set_input_files("#file", str(text))
    expect(page.locator("#band")).to_have_text("text.png is not a picture that this browser can read")


def test_a_camera_is_scored_until_it_is_stopped(page: Page) -> None:
    page.click("#camera")
    expect(page.locator("#time")).to_contain_text("ms", timeout=60_000)
    assert 0 <= float(page.locator("#value").inner_text()) <= 100
    page.click("#camera")
    expect(page.locator("#camera")).to_have_text("Use the camera")


def test_it_works_without_a_network_once_it_was_loaded(page: Page, server: ThreadingHTTPServer) -> None:
    page.evaluate(
        "new Promise(done => navigator.serviceWorker.controller ? done()"
        " : navigator.serviceWorker.addEventListener('controllerchange', () => done()))"
    )
    server.shutdown()
    server.server_close()
    page.reload()
    expect(page.locator("body[data-ready=yes]")).to_be_attached(timeout=60_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(page: Page, axe: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(axe)
    violations = page.evaluate("axe.run().then(result => result.violations.map(each => each.id + ': ' + each.help))")
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
