"""An event's evidence in words, with units: the same sentence in the log and in every sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Evidence = Mapping[str, float | str]
_NOT_SAID = ("pts_s", "held_s", "score", "limit", "likely_cause")


def describe(kind: str, evidence: Evidence) -> str:
    """What was measured when an event of that kind was raised or cleared, "" where there is nothing."""
    sentence = _SENTENCES.get(kind)
    try:
        text = sentence(evidence) if sentence else ""
    except (KeyError, TypeError):  # of another version, or from a file
        text = ""
    text = text or ", ".join(_plain(name, value) for name, value in evidence.items() if name not in _NOT_SAID)
    cause = evidence.get("likely_cause")
    return f"{text}; likely {words(str(cause))}" if cause and text else text


def words(name: str) -> str:
    """`ImageTooDark` and `exposure_low` as words: image too dark, exposure low."""
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in name)
    return spaced.replace("_", " ").strip().lower()


def title(kind: str, evidence: Evidence) -> str:
    """An event's name as people read it, with its likely cause: `quality drop: exposure low`."""
    cause = evidence.get("likely_cause")
    return f"{words(kind)}: {words(str(cause))}" if cause else words(kind)


def _plain(name: str, value: float | str) -> str:
    return f"{words(name)} {value:.3g}" if isinstance(value, (int, float)) else f"{words(name)} {value}"


def _number(evidence: Evidence, name: str) -> float:
    value = evidence[name]
    if isinstance(value, str):
        raise TypeError(name)
    return value


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def duration(seconds: float) -> str:
    """A length of time in its largest unit of which there are two: 42 s, 5 min, 3 h, 2 days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _quality_drop(evidence: Evidence) -> str:
    drop, baseline = _number(evidence, "drop"), _number(evidence, "baseline")
    usual = "the last days" if "since" in evidence else "its baseline"
    side = "above" if drop < 0 else "below"
    return f"score {baseline - drop:.0f}, {abs(drop):.0f} points {side} {usual} ({baseline:.0f})"


def _blurry(evidence: Evidence) -> str:
    return f"sharpness at {_percent(1 - _number(evidence, 'lost'))} of its baseline"


def _dark(evidence: Evidence) -> str:
    stops = _number(evidence, "stops")
    return f"{abs(stops):.1f} stops {'under' if stops >= 0 else 'over'} the middle of the scale"


def _bright(evidence: Evidence) -> str:
    return f"{_percent(_number(evidence, 'clipped_high'))} of the picture clipped at white"


def _black(evidence: Evidence) -> str:
    return f"{_percent(_number(evidence, 'clipped_low'))} of the picture black"


def _hazy(evidence: Evidence) -> str:
    contrast, lift = _number(evidence, "contrast"), _number(evidence, "lift")
    return f"contrast at {_percent(contrast)} of its baseline, dark parts {lift:+.0f} levels of 255"


def _frozen(evidence: Evidence) -> str:
    return f"no change in the picture for {duration(_number(evidence, 'held_s'))}"


def _scene(evidence: Evidence) -> str:
    if "accepted_by" in evidence:
        return f"accepted by {evidence['accepted_by']}"
    if "view" in evidence:
        return f"{evidence['view']}"
    return f"likeness to its usual view {_number(evidence, 'likeness'):.2f} of 1"


def _obstructed(evidence: Evidence) -> str:
    if "featureless" in evidence:
        usual = _percent(_number(evidence, "baseline"))
        return f"{_percent(_number(evidence, 'featureless'))} of the picture without detail, usually {usual}"
    return f"{_percent(_number(evidence, 'lost'))} of the scene's detail has lost its sharpness"


def _signal_loss(evidence: Evidence) -> str:
    return f"{evidence['state']}, {evidence['reason']}"


_SENTENCES: dict[str, Callable[[Evidence], str]] = {
    "QualityDrop": _quality_drop,
    "ImageTooBlurry": _blurry,
    "ImageTooDark": _dark,
    "ImageTooBright": _bright,
    "Black": _black,
    "LowContrast": _hazy,
    "Frozen": _frozen,
    "GlobalSceneChange": _scene,
    "Obstructed": _obstructed,
    "SignalLoss": _signal_loss,
}
