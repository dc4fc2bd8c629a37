"""A monitor among dying cameras, wrong settings and lost files, for half a minute; chaos.py does it for hours."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import Chaos, run
from live import encode, moving


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_nothing_that_happens_around_a_monitor_breaks_it(seed: int, tmp_path: Path, model_path: Path) -> None:
    streams = {
        "good": encode(tmp_path / "good.ts", moving(1500)).read_bytes(),
        "other": encode(tmp_path / "other.ts", moving(1500, 144, 192)).read_bytes(),
    }
    chaos = Chaos(tmp_path, model_path, streams, 60, seed)
    try:
        figures = run(chaos, seconds=20, actions=20)
    finally:
        print(*chaos.log, sep="\n")
        chaos.close()
    assert figures["actions"] >= 10
