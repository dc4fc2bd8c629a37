"""The real command while its disk is full, its broker dead, its webhook gone and itself killed, each for seconds.

The same script with its own defaults breaks each for a minute and kills fifty times.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from live import rtsp_missing
from real_servers import tool

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "monitor_faults.py"
OUTAGE_S, STOPS, KILLS, FPS = 4, 1, 2, 20  # many scores a second, because the script waits for a number of them


@pytest.fixture
def needed(tmp_path: Path) -> None:
    if reason := rtsp_missing():
        pytest.skip(reason)
    tool("mosquitto")
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.usefixtures("needed")
def test_scoring_goes_on_what_is_lost_is_counted_and_the_history_stays_sound(tmp_path: Path) -> None:
    out = tmp_path / "faults.csv"
    options = ["--restarts", "0", "--outage-s", str(OUTAGE_S), "--outage-fps", str(FPS)]
    options += ["--cameras", "1", "--stops", str(STOPS), "--kills", str(KILLS), "--csv", str(out)]
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True, timeout=600)
    with out.open() as file:
        found = {row["what"]: float(row["value"]) for row in csv.DictReader(file)}
    lost = {}
    for name in ("disk full", "broker dead", "webhook dead"):
        assert found[f"{name} for {OUTAGE_S} s: scores meanwhile"] > 1
        lost[name] = found[f"{name} for {OUTAGE_S} s: counted as lost"]
    assert lost["disk full"] > 0
    assert lost["broker dead"] > 0
    assert lost["webhook dead"] == 0  # it is tried again for longer than that
    assert found["history is sound (integrity_check)"] == 1
    assert 0 < found["readings sent that are not in the history"] <= lost["disk full"]
    assert found["SIGTERM to exit, longest"] < 10
    assert found["history is sound after it (integrity_check)"] == KILLS
    assert found["rows that were in the history before a kill, and not after"] == 0
