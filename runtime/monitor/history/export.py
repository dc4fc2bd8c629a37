"""What a chart shows, as CSV."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone

from dpiqa.runtime.monitor.history.archive import Curve


def curve_csv(curve: Curve) -> str:
    """A row for each step that has any score: its time in UTC, the mean, the lowest and the highest."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("time", "score", "lowest", "highest"))
    for at, *scores in zip(curve.times, curve.score, curve.low, curve.high, strict=True):
        writer.writerow((datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds"), *scores))
    return text.getvalue()
