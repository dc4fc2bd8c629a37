"""The prompts: every combination of scene, distortion and quality as a sentence (DP-IQA, section 3.2)."""

from __future__ import annotations

from itertools import product

_SCENES = ("animal", "cityscape", "human", "indoor", "landscape", "night", "plant", "still life", "other")
_DISTORTIONS = (
    "JPEG2000 compression",
    "JPEG compression",
    "noise",
    "blur",
    "colour",
    "contrast",
    "overexposure",
    "underexposure",
    "spatial",
    "quantization",
    "other",
)
_QUALITIES = ("bad", "poor", "fair", "good", "perfect")
PROMPTS = tuple(
    f"a photo of a {scene} with {distortion} artifacts, which is of {quality} quality"
    for scene, distortion, quality in product(_SCENES, _DISTORTIONS, _QUALITIES)
)
