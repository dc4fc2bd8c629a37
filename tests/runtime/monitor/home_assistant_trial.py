"""Monitors, a broker and a Home Assistant together: does it show what they see? Run by `.ci/home_assistant`.

usage: home_assistant_trial.py FOLDER HASS        HASS is the program of that name

One monitor watches `the door` and `yard`, another `gate`. What must hold is in the functions below, one after the
other; the first that does not ends the trial, and so does anything that Home Assistant complains of.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fake_camera import FakeCamera
from live import RATE, encode
from made import photo
from messages import wait_for
from real_home_assistant import HomeAssistant
from real_servers import answers, free_port, running, tool

from dpiqa.runtime.monitor.sinks.home_assistant import outdated_topics
from dpiqa.runtime.monitor.sinks.mqtt import source_topic

STREAM_S = 600
START_S = 180  # what a monitor may take to score on a busy machine
SETTLED_S = 25  # after which a camera's scene is known
DOOR = source_topic("the door")
PROBLEMS = (
    *("quality_drop", "image_too_blurry", "image_too_dark", "image_too_bright", "low_contrast", "black", "frozen"),
    *("global_scene_change", "obstructed", "signal_loss"),
)
ENTITIES = {  # by the end of their names, with their attributes
    ("sensor", "quality"): {"state_class": "measurement", "icon": "mdi:image-check"},
    ("sensor", "main_cause"): {"icon": "mdi:image-search"},
    ("binary_sensor", "connection"): {"device_class": "connectivity"},
    ("image", "picture"): {},
    **{("binary_sensor", problem): {"device_class": "problem"} for problem in PROBLEMS},
}
ALL_ENTITIES = "{{ integration_entities('mqtt') | to_json }}"
DEVICES = "{{ integration_entities('mqtt') | map('device_attr', 'name') | unique | sort | list | to_json }}"


class Trial:
    """What takes part."""

    def __init__(self, folder: Path, port: int, home: HomeAssistant) -> None:
        self._folder, self._port, self.home = folder, port, home
        self.scene, other_scene = photo(seed=0), photo(seed=1)
        good, other = _stream(folder / "good.ts", self.scene), _stream(folder / "other.ts", other_scene)
        black = _stream(folder / "black.ts", np.zeros_like(self.scene), noise=0)
        self.cameras = {
            "the door": FakeCamera({"good": good, "other": black}, STREAM_S),
            "yard": FakeCamera({"good": good, "other": other}, STREAM_S),
            "gate": FakeCamera({"good": good, "other": good}, STREAM_S),
        }
        self._monitors: dict[str, subprocess.Popen[bytes]] = {}

    def settings(self, monitor: str, *cameras: str) -> None:
        """Write the settings file of a monitor."""
        timeouts = "open_timeout_s: 3, read_timeout_s: 2, stall_s: 1"
        lines = [
            f"  - {{ name: {name}, source: 'tcp://127.0.0.1:{self.cameras[name].port}', {timeouts} }}"
            for name in cameras
        ]
        sinks = f"jsonl: {monitor}.jsonl, mqtt: {{ url: 'mqtt://127.0.0.1:{self._port}', home_assistant: true }}"
        text = ["fps: 2", f"sinks: {{ sqlite: null, {sinks} }}", "cameras:", *lines]
        (self._folder / f"{monitor}.yaml").write_text("\n".join(text) + "\n")

    def start(self, monitor: str) -> None:
        """Start a monitor; what it logs is in a file."""
        with (self._folder / f"{monitor}.log").open("a") as log:
            command = [sys.executable, "-m", "dpiqa", "monitor", f"{monitor}.yaml"]
            self._monitors[monitor] = subprocess.Popen(command, cwd=self._folder, stderr=log)

    def signal(self, monitor: str, number: signal.Signals) -> None:
        """Send a signal to a monitor; all but SIGHUP end it."""
        self._monitors[monitor].send_signal(number)
        if number != signal.SIGHUP:
            self._monitors[monitor].wait(10)

    def messages(self, kind: str, source: str) -> list[dict[str, Any]]:
        """What the monitors wrote of a source."""
        lines = [line for path in self._folder.glob("*.jsonl") for line in path.read_text().splitlines(keepends=True)]
        messages = [json.loads(line) for line in lines if line.endswith("\n")]
        return [message for message in messages if (message["type"], message["source"]) == (kind, source)]

    def events(self, source: str) -> list[tuple[str, str, bool]]:
        """The events of a source: kind, state, and whether it was muted."""
        return [(event["kind"], event["state"], event["muted"]) for event in self.messages("event", source)]

    def actions(self, source: str) -> list[str]:
        """What was done to a source."""
        return [action["action"] for action in self.messages("action", source)]

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._monitors.values():
            process.kill()
            process.wait()
        for camera in self.cameras.values():
            camera.close()

    def wait(self, entity: str, state: str | None = None, seconds: float = 60) -> None:
        """Wait until an entity has a state, or by default one that says something."""
        until_s, now = time.monotonic() + seconds, self.home.state(entity)
        while not (is_known(now) if state is None else now == state):
            assert time.monotonic() < until_s, f"{entity} is {now!r} after {seconds:g} s, not {state or 'known'}"
            time.sleep(0.1)
            now = self.home.state(entity)

    def wait_for_devices(self, *cameras: str) -> None:
        """Wait until these devices are there, and no others."""
        wait_for(lambda: self.home.render(DEVICES) == sorted(cameras), f"devices: {cameras}", 60)


def _stream(path: Path, picture: np.ndarray, noise: float = 5) -> bytes:
    rng = np.random.default_rng(0)
    noises = [rng.normal(0, noise, picture.shape) for _ in range(50)]
    frames = [np.clip(picture + noise, 0, 255).astype(np.uint8) for noise in noises]
    return encode(path, frames * (RATE * STREAM_S // len(frames))).read_bytes()


def is_known(state: str) -> bool:
    return state not in ("unavailable", "unknown", "")


def slug(camera: str) -> str:
    return camera.replace(" ", "_")


def entities(camera: str) -> dict[str, dict[str, str]]:
    """The entities that a camera should have, with their attributes."""
    return {
        f"{platform}.{slug(camera)}_{name}": {
            "friendly_name": f"{camera} {name.replace('_', ' ').capitalize()}",
            **attributes,
        }
        for (platform, name), attributes in ENTITIES.items()
    }


def each_camera_is_a_device_with_all_its_entities(trial: Trial) -> None:
    expected = {entity: fixed for camera in trial.cameras for entity, fixed in entities(camera).items()}
    for entity in expected:
        trial.wait(entity, seconds=START_S)
    states = trial.home.states()
    assert set(trial.home.render(ALL_ENTITIES)) == expected.keys()
    for entity, fixed in expected.items():
        attributes = states[entity]["attributes"]
        assert attributes.items() >= fixed.items(), (entity, attributes)
    trial.wait_for_devices(*trial.cameras)


def states_are_the_monitors(trial: Trial) -> None:
    for camera in trial.cameras:
        state = trial.home.state(f"sensor.{slug(camera)}_quality")
        latest = [str(round(reading["score"], 1)) for reading in trial.messages("reading", camera)[-12:]]
        assert state in latest, (camera, state, latest)
        assert trial.home.state(f"binary_sensor.{slug(camera)}_connection") == "on"
        assert {trial.home.state(f"binary_sensor.{slug(camera)}_{problem}") for problem in PROBLEMS} == {"off"}


def the_picture_is_the_cameras(trial: Trial) -> None:
    address = trial.home.states()["image.gate_picture"]["attributes"]["entity_picture"]
    picture = cv2.imdecode(np.frombuffer(trial.home.fetch(address), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == trial.scene.shape
    assert np.mean(cv2.absdiff(picture, trial.scene)) < 15  # levels, by noise and two encoders


def a_camera_that_is_down_shows_no_score(trial: Trial) -> None:
    trial.cameras["the door"].mode = "dead"
    trial.wait("binary_sensor.the_door_connection", "off")
    trial.wait("binary_sensor.the_door_signal_loss", "on")
    for name in ("quality", "main_cause"):
        assert trial.home.state(f"sensor.the_door_{name}") == "unavailable"
    assert trial.home.states()["binary_sensor.the_door_signal_loss"]["attributes"]["text"]
    assert is_known(trial.home.state("sensor.yard_quality"))


def a_muted_event_is_no_problem_until_it_outlasts_the_mute(trial: Trial) -> None:
    trial.home.publish(f"dpiqa/{DOOR}/mute", "60")
    trial.cameras["the door"].mode = "other"
    trial.wait("sensor.the_door_quality", "unknown")  # black frames are void
    wait_for(lambda: ("Black", "raised", True) in trial.events("the door"), "the muted event", 60)
    assert trial.home.state("binary_sensor.the_door_signal_loss") == "off"
    assert trial.home.state("binary_sensor.the_door_black") == "off"
    trial.home.publish(f"dpiqa/{DOOR}/mute", "0")
    trial.wait("binary_sensor.the_door_black", "on")
    assert "black" in trial.home.states()["binary_sensor.the_door_black"]["attributes"]["text"]
    trial.home.publish(f"dpiqa/{DOOR}/acknowledge", "")
    wait_for(lambda: trial.actions("the door") == ["mute", "unmute", "acknowledge"], "all actions", 60)
    trial.cameras["the door"].mode = "dead"
    trial.wait("binary_sensor.the_door_connection", "off")
    trial.cameras["the door"].mode = "good"
    trial.wait("binary_sensor.the_door_black", "off")
    trial.wait("sensor.the_door_quality")


def a_changed_view_is_accepted(trial: Trial) -> None:
    wait_for(lambda: trial.messages("reading", "yard")[-1]["pts_s"] > SETTLED_S, "a settled scene", 2 * SETTLED_S)
    trial.cameras["yard"].mode = "dead"
    trial.wait("binary_sensor.yard_connection", "off")
    trial.cameras["yard"].mode = "other"
    trial.wait("binary_sensor.yard_global_scene_change", "on")
    trial.home.publish("dpiqa/yard/accept", "")
    trial.wait("binary_sensor.yard_global_scene_change", "off")


def a_monitor_that_is_killed_is_unavailable_and_comes_back(trial: Trial) -> None:
    trial.signal("second", signal.SIGKILL)
    for entity in entities("gate"):
        trial.wait(entity, "unavailable")
    assert is_known(trial.home.state("sensor.yard_quality"))
    trial.start("second")
    for entity in entities("gate"):
        trial.wait(entity)


def a_camera_goes_at_a_reload(trial: Trial) -> None:
    trial.settings("first", "the door")
    trial.signal("first", signal.SIGHUP)
    trial.wait_for_devices("the door", "gate")
    trial.settings("first", "the door", "yard")
    trial.signal("first", signal.SIGHUP)
    trial.wait("sensor.yard_quality")


def a_camera_goes_at_a_restart(trial: Trial) -> None:
    trial.settings("first", "the door")
    trial.signal("first", signal.SIGTERM)
    trial.wait("sensor.the_door_quality", "unavailable")
    trial.start("first")
    trial.wait_for_devices("the door", "gate")
    trial.wait("sensor.the_door_quality")


def home_assistant_finds_them_again(trial: Trial) -> None:
    trial.home.stop()
    trial.home.start()
    for camera in ("the door", "gate"):
        for entity in entities(camera):
            trial.wait(entity)


def nothing_is_complained_of(trial: Trial) -> None:
    trial.home.stop()
    assert trial.home.complaints == []
    trial.home.start()


def what_an_earlier_version_announced_is_replaced(trial: Trial) -> None:
    """Home Assistant complains here: for a moment it has two announcements."""
    for topic in outdated_topics("homeassistant", "yard"):
        device, name = topic.split("/")[2:4]
        entity = {"name": f"Old {name}", "unique_id": f"{device}_{name}", "state_topic": "none"}
        document = {**entity, "device": {"identifiers": [device], "name": "yard"}}
        trial.home.publish(topic, json.dumps(document), retain=True)
    trial.wait("sensor.yard_old_score", "unknown")
    trial.settings("first", "the door", "yard")
    trial.signal("first", signal.SIGTERM)
    trial.start("first")
    for entity in entities("yard"):
        trial.wait(entity)
    assert not [entity for entity in trial.home.states() if "yard_old" in entity]


def main(folder: Path, command: str) -> None:
    """Try all of it, in this order."""
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with ExitStack() as stack:
        stack.enter_context(running(tool("mosquitto"), "-c", str(folder / "mosquitto.conf")))
        wait_for(lambda: answers(port), "the broker")
        home = stack.enter_context(HomeAssistant(command, folder / "home", port))
        trial = Trial(folder, port, home)
        stack.callback(trial.close)
        trial.settings("first", "the door", "yard")
        trial.settings("second", "gate")
        for monitor in ("first", "second"):
            trial.start(monitor)
        for check in (
            each_camera_is_a_device_with_all_its_entities,
            states_are_the_monitors,
            the_picture_is_the_cameras,
            a_camera_that_is_down_shows_no_score,
            a_muted_event_is_no_problem_until_it_outlasts_the_mute,
            a_changed_view_is_accepted,
            a_monitor_that_is_killed_is_unavailable_and_comes_back,
            a_camera_goes_at_a_reload,
            a_camera_goes_at_a_restart,
            home_assistant_finds_them_again,
            nothing_is_complained_of,
            what_an_earlier_version_announced_is_replaced,
        ):
            check(trial)
            print(check.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
