"""Models from a hub, here a server of the test's own that answers as Hugging Face's does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("huggingface_hub", reason="needs the extra hub")
COMMIT = "5" * 40
PROGRAM = """
import json, sys
from dpiqa import DpiqaError, Scorer
try:
    print(json.dumps(Scorer.from_pretrained(*json.loads(sys.argv[1]), engine="onnxruntime").spec.name))
except DpiqaError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture
def hub(model_path: Path) -> Iterator[str]:
    """A hub with the one repository me/quality and the one file quality.onnx."""
    content = model_path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, with_body: bool) -> None:
            repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            problem = (
                "RepoNotFound" if repository != "me/quality"
                else "RevisionNotFound" if revision not in ("main", "v1", COMMIT)
                else "EntryNotFound" if file != "quality.onnx"
                else ""
            )  # fmt: skip
            self.send_response(404 if problem else 200)
            if problem:
                self.send_header("X-Error-Code", problem)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(0 if problem else len(content)))
            self.end_headers()
            if with_body and not problem:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self._answer(False)

        def do_GET(self) -> None:
            self._answer(True)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _opened(endpoint: str, cache: Path, *arguments: str | None) -> str:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(ended.stdout)


@pytest.mark.slow
def test_a_model_is_fetched_once_and_then_opened_without_the_hub(hub: str, tmp_path: Path) -> None:
    assert _opened(hub, tmp_path, "me/quality") == "brightness"
    assert _opened(hub, tmp_path, "me/quality", "quality.onnx", "v1") == "brightness"
    assert _opened("http://127.0.0.1:9", tmp_path, "me/quality", None, COMMIT) == "brightness"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("me/other",), "me/other: no such repository on the hub, or no access to it"),
        (("me/quality", "x.onnx"), "me/quality: no file 'x.onnx' in it, name one with file="),
        (("me/quality", None, "v9"), "me/quality: no revision 'v9'"),
        (("a/b/c",), "a/b/c: expected owner/name"),
    ],
)
def test_what_is_not_there_is_one_line(hub: str, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    assert _opened(hub, tmp_path, *arguments) == reason


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    assert _opened("http://127.0.0.1:9", tmp_path, "me/quality") == (
        "me/quality: the hub does not answer, and it is not in the cache"
    )
