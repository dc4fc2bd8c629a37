"""A camera's baseline, learnt from its own readings."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from dpiqa.runtime.monitor.settings.alarms import BaselineSettings

_CAPACITY = 512
_WEEK_S = 7 * 24 * 3600.0
_MIN_PER_HOUR = 60
_HOUR_SPACING_S = 60.0
_NEARLY_A_DAY_S = 20 * 3600.0
_MAD_TO_DEVIATION = 1.4826  # a normal distribution's standard deviation in median absolute deviations


class Baseline:
    """The median and spread of the values of the last `window_s`, once there are `minimum` of them.

    Holds at most 512 values, at least `spacing_s` apart, and further apart the longer it has learnt.
    """

    def __init__(self, window_s: float, minimum: int, spacing_s: float = 0.0) -> None:
        self._window_s, self._minimum, self._spacing_s = window_s, minimum, spacing_s
        self._values: deque[tuple[float, float]] = deque()
        self._statistics: tuple[float, float] | None = None

    def learn(self, now_s: float, value: float) -> None:
        """Add a value at a time in seconds, which must not decrease."""
        values = self._values
        if values and now_s - values[-1][0] < self._spacing_s:
            return
        values.append((now_s, value))
        while now_s - values[0][0] > self._window_s:
            values.popleft()
        if len(values) == _CAPACITY:
            self._values = deque(list(values)[::2])
            self._spacing_s = (now_s - values[0][0]) / (_CAPACITY // 2)
        self._statistics = None

    @property
    def is_ready(self) -> bool:
        """Whether there are enough values."""
        return len(self._values) >= self._minimum

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
        self._settings = settings
        self.forget()
        self._hours = [Baseline(_WEEK_S, _MIN_PER_HOUR, _HOUR_SPACING_S) for _ in range(24)] if settings.by_hour else []

    def at(self, wall_time: float) -> Baseline:
        """The baseline for a reading at that time (Unix seconds)."""
        hour = self._hour(wall_time)
        if hour is not None and hour.is_ready and hour.span_s > _NEARLY_A_DAY_S:
            return hour
        return self._all

    def learn(self, now_s: float, wall_time: float, value: float, is_usual: bool) -> None:
        """Add a value; `now_s` is the time in the stream.

        An hour also learns values that are not usual yet: otherwise nights could never become usual.
        """
        if is_usual:
            self._all.learn(now_s, value)
        hour = self._hour(wall_time)
        if hour is not None:
            hour.learn(now_s, value)

    def forget(self) -> None:
        """Restart the baseline, but keep those of the hours."""
        self._all = Baseline(self._settings.window_s, self._settings.minimum)

    def _hour(self, wall_time: float) -> Baseline | None:
        return self._hours[time.localtime(wall_time).tm_hour] if self._hours else None
