"""Evidence in words: of every kind of event, and of what no event has."""

from __future__ import annotations

import pytest

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.evidence import describe, title

CASES: dict[str, tuple[dict[str, float | str], str]] = {
    "QualityDrop": (
        {"likely_cause": "exposure_low", "drop": 30.2, "limit": 12.0, "baseline": 78.1, "noise": 0.01, "score": 47.9},
        "score 48, 30 points below its baseline (78); likely exposure low",
    ),
    "ImageTooBlurry": ({"lost": 0.65, "limit": 0.5, "focus": 0.1}, "sharpness at 35 % of its baseline"),
    "ImageTooDark": ({"stops": 3.24, "limit": 3.0}, "3.2 stops under the middle of the scale"),
    "ImageTooBright": ({"clipped_high": 0.62, "limit": 0.4}, "62 % of the picture clipped at white"),
    "Black": ({"clipped_low": 1.0, "limit": 0.98}, "100 % of the picture black"),
    "LowContrast": ({"contrast": 0.8, "lift": 14.2}, "contrast at 80 % of its baseline, dark parts +14 levels of 255"),
    "Frozen": ({"difference": 0.0, "held_s": 42.1}, "no change in the picture for 42 s"),
    "GlobalSceneChange": ({"likeness": 0.31, "limit": 0.5}, "likeness to its usual view 0.31 of 1"),
    "Obstructed": (
        {"growth": 0.6, "featureless": 0.7, "baseline": 0.1},
        "70 % of the picture without detail, usually 10 %",
    ),
    "SignalLoss": ({"state": "down", "reason": "no answer"}, "down, no answer"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_has_a_sentence(kind: str) -> None:
    evidence, sentence = CASES[kind]
    assert describe(kind, evidence) == sentence


def test_what_is_missing_or_strange_is_still_written() -> None:
    assert describe("Frozen", {"difference": 0.00012, "pts_s": 3.0}) == "difference 0.00012"
    assert describe("ImageTooBlurry", {"lost": "much"}) == "lost much"
    assert describe("QualityDrop", {}) == ""
    assert describe("GlobalSceneChange", {"accepted_by": "Ada"}) == "accepted by Ada"
    assert describe("SomethingNew", {"odd_thing": 2}) == "odd thing 2"
    assert describe("Frozen", {"held_s": 7200.0}) == "no change in the picture for 2 h"
    assert title("QualityDrop", {"likely_cause": "exposure_low"}) == "quality drop: exposure low"
    assert title("ImageTooDark", {}) == "image too dark"
