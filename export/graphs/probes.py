"""Test patterns that exercise a model's whole range, for use without pictures."""

from __future__ import annotations

import numpy as np

from dpiqa.runtime.spec import InputSpec


def probe_frames(spec: InputSpec) -> np.ndarray:
    """Six frames, uint8 `[6, H, W, 3]`: noise at three contrasts, a ramp, black and white."""
    rng = np.random.default_rng(0)
    shape = (spec.height, spec.width, 3)
    ramp = np.broadcast_to(np.linspace(0, 255, spec.width)[None, :, None], shape)
    noise = [128 + rng.normal(0, deviation, shape) for deviation in (4, 16, 64)]
    return np.clip(np.stack([*noise, ramp, np.zeros(shape), np.full(shape, 255.0)]), 0, 255).astype(np.uint8)
