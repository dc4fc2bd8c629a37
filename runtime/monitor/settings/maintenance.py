"""When a camera is being worked on: hours of the week, or one period."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from dpiqa.runtime.monitor.settings.base import Settings

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = get_args(Day)
_MINUTES_A_DAY = 24 * 60


class MaintenanceWindow(Settings):
    """A time in which a camera's events are recorded as muted, and raise no alarm.

    Every week, where `start` and `end` are times of the day (`"22:00"`): on the `days` on which it starts; an end that
    is not after the start is on the next day. Once, where both are dates with a time (`2026-12-24T18:00`). Both are in
    `time_zone`, a name such as Europe/Berlin (default: the machine's).
    """

    start: time | datetime
    end: time | datetime
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = _DAYS
    time_zone: str | None = None

    @field_validator("start", "end", mode="before")
    @classmethod
    def _read_sexagesimal(cls, value: Any) -> Any:
        """YAML reads 22:00 without quotes as a number to the base of 60."""
        if isinstance(value, int) and not isinstance(value, bool):
            hours, minutes = divmod(value if value < _MINUTES_A_DAY else value // 60, 60)
            return f"{hours:02d}:{minutes:02d}"
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None:
            time_zone(name)
        return name

    @model_validator(mode="after")
    def _is_one_kind(self) -> MaintenanceWindow:
        if isinstance(self.start, datetime) != isinstance(self.end, datetime):
            raise ValueError("start and end: give a time of the day for both, or a date with a time for both")
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            if self.start.tzinfo is not None or self.end.tzinfo is not None:
                raise ValueError("start and end: leave out the offset, and name a time_zone")
            if self.end <= self.start:
                raise ValueError("end: is not after the start")
            if "days" in self.model_fields_set:
                raise ValueError("days: are for times of the day, leave them out with dates")
        return self

    def end_at(self, now: float) -> float | None:
        """The end of the window that `now` lies in; Unix seconds, None where it lies in none."""
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            began, ended = self._unix(self.start), self._unix(self.end)
            return ended if began <= now < ended else None
        today = datetime.fromtimestamp(now, self._zone).date()
        periods = (self._period(today - timedelta(days=ago)) for ago in (1, 0))
        return max((ended for began, ended in filter(None, periods) if began <= now < ended), default=None)

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        return None if self.time_zone is None else ZoneInfo(self.time_zone)

    def _period(self, day: date) -> tuple[float, float] | None:
        assert isinstance(self.start, time)
        assert isinstance(self.end, time)
        if _DAYS[day.weekday()] not in self.days:
            return None
        last = day if self.end > self.start else day + timedelta(days=1)
        return self._unix(datetime.combine(day, self.start)), self._unix(datetime.combine(last, self.end))

    def _unix(self, moment: datetime) -> float:
        return moment.replace(tzinfo=self._zone).timestamp()


def time_zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone '{name}', expected a name such as Europe/Berlin") from None
