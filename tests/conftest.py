"""What tests of every floor share. Models are compiled anew: what the user's cache holds is of another build."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

os.environ["DPIQA_CACHE"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one of them begun at the end would keep a single process busy for minutes."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _ordinary_scheduling() -> Iterator[None]:
    """No test leaves a real-time process behind: what it starts afterwards could starve the machine."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real browser with a made-up camera."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *camera])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker axe-core, JavaScript."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(["npm", "pack", "--silent", "axe-core@4.10.3"], cwd=folder, check=True, capture_output=True)
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, filter="data")
    return (folder / "package" / "axe.min.js").read_text()
