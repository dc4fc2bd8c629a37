"""What is known of many pictures together: how they spread over the scale, and what most of them suffer from."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np

from dpiqa.runtime.reading import BANDS, Reading, band, main_cause


class Tally:
    """Counts the readings of pictures, 8 bytes each."""

    def __init__(self) -> None:
        self._scores = array("d")
        self._causes: Counter[str] = Counter()
        self._voids = 0

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, reading: Reading) -> None:
        """Count the reading of a picture."""
        self._scores.append(reading.score)
        self._voids += reading.void is not None
        if cause := main_cause(reading.causes):
            self._causes[cause] += 1

    def lines(self) -> list[str]:
        """A summary in words, at least one picture having been added."""
        scores = np.array(self._scores)
        p5, median, p95 = np.percentile(scores, [5, 50, 95])
        counts = Counter(band(score) for score in self._scores)
        lines = [
            f"{len(scores)} pictures: mean {scores.mean():.1f}, median {median:.1f}, 5th percentile {p5:.1f}, "
            f"95th {p95:.1f}, lowest {scores.min():.1f}; " + ", ".join(f"{name} {counts[name]}" for _, name in BANDS)
        ]
        if self._causes:
            causes = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self._causes.most_common(4))
            lines.append(f"commonest causes: {causes}")
        if self._voids:
            lines.append(f"{self._voids} show nothing: black, white or one colour")
        return lines
