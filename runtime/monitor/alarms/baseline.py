"""What is normal for a camera, learnt from its own readings."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from dpiqa.runtime.monitor.settings.alarms import BaselineSettings

_CAPACITY = 512
_WEEK_S = 7 * 24 * 3600.0
_HOUR_MINIMUM = 60
_HOUR_SPACING_S = 60.0
_NEARLY_A_DAY_S = 20 * 3600.0
_NORMAL = 1.4826  # the standard deviation of a normal distribution, in median absolute deviations


class Baseline:
    """The median and the spread of the values of the last `window_s`, from `minimum` values on.

    It keeps at most 512 values, at least `spacing_s` apart, and further apart the longer it has learnt.
    """

    def __init__(self, window_s: float, minimum: int, spacing_s: float = 0.0) -> None:
        self._window_s, self._minimum, self._spacing_s = window_s, minimum, spacing_s
        self._values: deque[tuple[float, float]] = deque()
        self._found: tuple[float, float] | None = None

    def learn(self, now_s: float, value: float) -> None:
        """Take a value at a time in seconds, which never goes back."""
        values = self._values
        if values and now_s - values[-1][0] < self._spacing_s:
            return
        values.append((now_s, value))
        while now_s - values[0][0] > self._window_s:
            values.popleft()
        if len(values) == _CAPACITY:
            self._values = deque(list(values)[::2])
            self._spacing_s = (now_s - values[0][0]) / (_CAPACITY // 2)
        self._found = None

    @property
    def is_ready(self) -> bool:
        """Whether enough was learnt."""
        return len(self._values) >= self._minimum

    @property
    def span_s(self) -> float:
        """The seconds from the oldest value to the newest."""
        return self._values[-1][0] - self._values[0][0] if self._values else 0.0

    @property
    def median(self) -> float:
        """The middle of the values. Raises ValueError before there are enough."""
        return self._find()[0]

    @property
    def spread(self) -> float:
        """A standard deviation that outliers do not move. Raises ValueError before there are enough values."""
        return self._find()[1]

    def _find(self) -> tuple[float, float]:
        if not self.is_ready:
            raise ValueError("the baseline has not learnt enough yet")
        if self._found is None:
            values = np.array([value for _, value in self._values])
            median = float(np.median(values))
            self._found = median, _NORMAL * float(np.median(np.abs(values - median)))
        return self._found


class DayBaseline:
    """A baseline, and if asked another one for each hour of the day, used once that hour was seen on two days."""

    def __init__(self, settings: BaselineSettings) -> None:
        self._settings = settings
        self.forget()
        self._hours = [Baseline(_WEEK_S, _HOUR_MINIMUM, _HOUR_SPACING_S) for _ in range(24)] if settings.by_hour else []

    def at(self, wall_time: float) -> Baseline:
        """The baseline that a reading of that time (Unix seconds) is compared with."""
        hour = self._hour(wall_time)
        if hour is not None and hour.is_ready and hour.span_s > _NEARLY_A_DAY_S:
            return hour
        return self._all

    def learn(self, now_s: float, wall_time: float, value: float, is_normal: bool) -> None:
        """Take a value; `now_s` is the time in the stream.

        Of an hour also those that are not normal by now: else no night could become normal.
        """
        if is_normal:
            self._all.learn(now_s, value)
        hour = self._hour(wall_time)
        if hour is not None:
            hour.learn(now_s, value)

    def forget(self) -> None:
        """Learn anew what is normal, but for the hours."""
        self._all = Baseline(self._settings.window_s, self._settings.minimum)

    def _hour(self, wall_time: float) -> Baseline | None:
        return self._hours[time.localtime(wall_time).tm_hour] if self._hours else None
