"""Metrics as a real Prometheus scrapes them, and what is made of them."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from messages import BEGAN, event, reading, status, wait_for
from real_servers import free_port, running, sinks_of, tool

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.slow
def test_prometheus_scrapes_every_metric(tmp_path: Path) -> None:
    prometheus = tool("prometheus")
    ours, theirs = free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"scrape_configs: [{{job_name: dpiqa, scrape_interval: 1s, static_configs: "
        f"[{{targets: ['127.0.0.1:{ours}']}}]}}]\n"
    )
    command = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}", f"--web.listen-address=127.0.0.1:{theirs}"]

    def ask(query: str) -> list[tuple[dict[str, str], float]]:
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"http://127.0.0.1:{theirs}/api/v1/query", params={"query": query})
            if answer.status_code == 200:
                return [(item["metric"], float(item["value"][1])) for item in answer.json()["data"]["result"]]
        return []

    with sinks_of(prometheus=f"127.0.0.1:{ours}", jsonl=tmp_path / "m.jsonl") as sinks, running(prometheus, *command):
        for sink in sinks:
            for message in (status(), reading(1, 61.5), status(scored=40, dropped=7, reconnects=2), event()):
                sink.put(message)
        wait_for(lambda: bool(ask("dpiqa_event_active == 1")), "a scrape", 30)

        def value(query: str) -> float:
            (found,) = ask(query)
            return found[1]

        assert value('dpiqa_score{source="cam"}') == 61.5
        assert value("dpiqa_score_baseline") == 79
        assert value('dpiqa_cause_ratio{cause="noise"}') == 0.4
        assert value('dpiqa_signal_ratio{signal="brightness"}') == 0.5
        assert value("dpiqa_last_frame_timestamp_seconds") == BEGAN + 1
        assert value("dpiqa_source_up") == 1
        assert value("dpiqa_source_reconnects_total") == 2
        assert value('dpiqa_frames_total{outcome="scored"}') == 40
        assert value('dpiqa_frames_total{outcome="dropped"}') == 7
        assert value('dpiqa_stage_duration_seconds_sum{stage="infer"}') == pytest.approx(0.02)
        assert value('dpiqa_events_total{kind="Frozen"}') == 1
        assert {labels["kind"] for labels, _ in ask("dpiqa_event_active")} == set(KINDS)
        assert value('dpiqa_sink_messages_total{sink="jsonl",outcome="written"}') == 4
        assert value('dpiqa_sink_messages_total{sink="jsonl",outcome="failed"}') == 0


def test_a_source_that_was_removed_leaves_no_metrics() -> None:
    port = free_port()
    with sinks_of(prometheus=f"127.0.0.1:{port}") as (sink,):
        for source in ("kept", "gone"):
            for message in (status(source=source), reading(source=source), event(source=source)):
                sink.put(message)
        sink.put(status("removed", "gone"))
        wait_for(lambda: sink.counts.written == 7, "the messages")
        served = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'dpiqa_source_up{source="kept"} 1.0' in served
    assert "gone" not in served


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot serve metrics on 127.0.0.1:{port}, address already in use"):
            SinkSet(SinkSettings.model_validate({"sqlite": None, "prometheus": f"127.0.0.1:{port}"}))


def test_the_alert_rules_fire_as_promtool_sees_it() -> None:
    promtool = tool("promtool")
    for arguments in (["check", "rules", "dpiqa.rules.yml"], ["test", "rules", "dpiqa.tests.yml"]):
        ran = subprocess.run(
            [promtool, *arguments], cwd=EXAMPLES / "prometheus", capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_board_asks_for_metrics_that_there_are() -> None:
    board = json.loads((EXAMPLES / "grafana" / "dpiqa.json").read_text())
    port = free_port()
    with sinks_of(prometheus=f"127.0.0.1:{port}") as sinks:
        for message in (status(), reading(), event()):
            sinks[0].put(message)
        wait_for(lambda: sinks[0].counts.written == 3, "the messages")
        served = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    names = {line.split("{")[0].split(" ")[0] for line in served.splitlines() if line.startswith("dpiqa_")}
    asked = {
        word
        for panel in board["panels"]
        for target in panel.get("targets", [])
        for word in target["expr"].replace("(", " ").replace("{", " ").replace("[", " ").split()
        if word.startswith("dpiqa_")
    }
    assert len(asked) >= 8
    assert asked <= names
