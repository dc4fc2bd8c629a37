"""What is usual for one number of a camera, learnt from its own readings."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from dpiqa.runtime.monitor.settings.alarms import BaselineSettings

_CAPACITY = 512
_KEPT = 128  # values that are kept over a restart
_WEEK_S = 7 * 24 * 3600.0
_MIN_PER_HOUR = 60
_HOUR_SPACING_S = 60.0
_NEARLY_A_DAY_S = 20 * 3600.0
_LONGEST_STEP_S = 10.0  # a longer gap between two values was not watched
_MAD_TO_DEVIATION = 1.4826  # a normal distribution's standard deviation in median absolute deviations


class Baseline:
    """The median and spread of the values of the last `window_s`, once there are `minimum` of them over `learn_s`.

    Holds at most 512 values, at least `spacing_s` apart, and further apart the longer it has learnt. `learnt_s` is how
    long it has learnt, without pauses.
    """

    def __init__(self, window_s: float, minimum: int, learn_s: float = 0.0, spacing_s: float = 0.0) -> None:
        self._window_s, self._minimum, self._learn_s, self._spacing_s = window_s, minimum, learn_s, spacing_s
        self._values: deque[tuple[float, float]] = deque()
        self._statistics: tuple[float, float] | None = None
        self.learnt_s = 0.0

    def learn(self, now_s: float, value: float) -> None:
        """Add a value at a time in seconds, which must not decrease."""
        values = self._values
        if values and now_s - values[-1][0] < self._spacing_s:
            return
        if values:
            self.learnt_s += min(now_s - values[-1][0], max(_LONGEST_STEP_S, 2 * self._spacing_s))
        values.append((now_s, value))
        while now_s - values[0][0] > self._window_s:
            values.popleft()
        if len(values) == _CAPACITY:
            self._values = deque(list(values)[::2])
            self._spacing_s = (now_s - values[0][0]) / (_CAPACITY // 2)
        self._statistics = None

    @property
    def is_ready(self) -> bool:
        """Whether there are enough values over a long enough time."""
        return len(self._values) >= self._minimum and self.learnt_s >= self._learn_s

    @property
    def span_s(self) -> float:
        """Seconds from the oldest value to the newest."""
        return self._values[-1][0] - self._values[0][0] if self._values else 0.0

    @property
    def median(self) -> float:
        """The median of the values. Raises ValueError before there are enough."""
        return self._median_and_spread()[0]

    @property
    def spread(self) -> float:
        """A standard deviation that ignores outliers. Raises ValueError before there are enough values."""
        return self._median_and_spread()[1]

    def replace(self, other: Baseline) -> None:
        """Take over the values of another one."""
        self._values, self._statistics = deque(other._values), None

    def to_json(self, now_s: float) -> dict[str, Any]:
        """What to keep over a restart: some of the values by age in seconds."""
        values = list(self._values)[:: max(1, len(self._values) // _KEPT)]
        return {
            "learnt_s": round(self.learnt_s, 1),
            "values": [[round(now_s - at_s, 1), round(value, 5)] for at_s, value in values],
        }

    def restore(self, document: dict[str, Any], now_s: float) -> None:
        """Take over what was kept. Raises ValueError, TypeError or KeyError for anything else."""
        values = [(now_s - float(age_s), float(value)) for age_s, value in document["values"]]
        if not np.isfinite(values or [0.0]).all():
            raise ValueError("a value is not finite")
        self._values, self._statistics = deque(sorted(values)[-_CAPACITY + 1 :]), None
        self.learnt_s = float(document["learnt_s"])

    def _median_and_spread(self) -> tuple[float, float]:
        if not self.is_ready:
            raise ValueError("the baseline has not learnt enough yet")
        if self._statistics is None:
            values = np.array([value for _, value in self._values])
            median = float(np.median(values))
            self._statistics = median, _MAD_TO_DEVIATION * float(np.median(np.abs(values - median)))
        return self._statistics


class DayBaseline:
    """A baseline, and with `by_hour` one for each hour of the day, used once that hour was observed on two days."""

    def __init__(self, settings: BaselineSettings) -> None:
        self._hours = [Baseline(_WEEK_S, _MIN_PER_HOUR, 0, _HOUR_SPACING_S) for _ in range(24 * settings.by_hour)]
        spacing_s = settings.learn_s / _MIN_PER_HOUR
        self.all_day = Baseline(settings.window_s, settings.minimum, settings.learn_s, spacing_s)

    def at(self, wall_time: float) -> Baseline:
        """The baseline for a reading at that time (Unix seconds)."""
        hour = self._hour(wall_time)
        if hour is not None and hour.is_ready and hour.span_s > _NEARLY_A_DAY_S:
            return hour
        return self.all_day

    def learn(self, now_s: float, wall_time: float, value: float, is_usual: bool) -> None:
        """Add a value; `now_s` is the time in the stream.

        An hour also learns values that are not usual yet: otherwise nights could never become usual.
        """
        if is_usual:
            self.all_day.learn(now_s, value)
        hour = self._hour(wall_time)
        if hour is not None:
            hour.learn(now_s, value)

    def keep_hours_of(self, other: DayBaseline) -> None:
        """Take over what another one knows of the hours."""
        self._hours = other._hours

    def to_json(self, now_s: float) -> dict[str, Any]:
        """What to keep over a restart."""
        return {"all_day": self.all_day.to_json(now_s), "hours": [hour.to_json(now_s) for hour in self._hours]}

    def restore(self, document: dict[str, Any], now_s: float) -> None:
        """Take over what was kept. Raises ValueError, TypeError or KeyError for anything else."""
        self.all_day.restore(document["all_day"], now_s)
        for hour, kept in zip(self._hours, document["hours"], strict=False):
            hour.restore(kept, now_s)

    def _hour(self, wall_time: float) -> Baseline | None:
        return self._hours[time.localtime(wall_time).tm_hour] if self._hours else None
