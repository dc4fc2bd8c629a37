"""When a camera's alarms are raised and cleared: every threshold, with defaults that suit a fixed camera."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from dpiqa.runtime.monitor.settings.base import Settings

Seconds = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AlarmRule(Settings):
    """Settings of every alarm: whether it is enabled, and how long its condition and its end must hold."""

    enabled: bool = True
    hold_s: Seconds = 1.0
    release_s: Seconds = 1.5

    @model_validator(mode="after")
    def _clears_below(self) -> AlarmRule:
        for upper, lower in self._order:
            if getattr(self, upper) < getattr(self, lower):
                raise ValueError(f"{upper} is below {lower}: it would be raised and cleared at once")
        return self

    _order: ClassVar[tuple[tuple[str, str], ...]] = ()


class QualityDrop(AlarmRule):
    """The score is below the camera's baseline by `points`, and by `spreads` robust standard deviations.

    Also raised where the baseline itself has sunk by `slow_points` below that of the last week, dusk apart. Cleared at
    the fraction `recover` of that distance. The evidence names the likely cause, if the model or else the signals point
    to one.
    """

    points: Annotated[float, Field(gt=0)] = 12.0
    spreads: Annotated[float, Field(ge=0)] = 5.0
    slow_points: Annotated[float, Field(gt=0)] = 25.0
    recover: Fraction = 0.5


class ImageTooBlurry(AlarmRule):
    """The focus lost this fraction of the camera's baseline, and the score is below its own."""

    raise_at: Fraction = 0.5
    clear_at: Fraction = 0.35
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class ImageTooDark(AlarmRule):
    """The mean luma is this many stops below mid-scale (3 is a sixteenth of full scale)."""

    raise_at: float = 3.0
    clear_at: float = 2.5
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class ImageTooBright(AlarmRule):
    """This fraction of the pixels is clipped at white."""

    raise_at: Fraction = 0.4
    clear_at: Fraction = 0.25
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class Black(AlarmRule):
    """This fraction of the pixels is black."""

    raise_at: Fraction = 0.98
    clear_at: Fraction = 0.9
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class LowContrast(AlarmRule):
    """The scene lost this fraction of its contrast while its dark parts became lighter: fog, haze, a dirty lens."""

    hold_s: Seconds = 5.0
    raise_at: Fraction = 0.12
    clear_at: Fraction = 0.06
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class Frozen(AlarmRule):
    """The mean difference from the previous frame is at most `still` (0 to 1); it moves again at `moving`.

    Judged by 16 x 9 cells: up to 12 of them in the two rows at the top and at the bottom may go on changing, as the
    clock of an overlay does, and a few cells that change anywhere else are enough to be alive. A camera that sends
    nothing new while nothing moves also looks frozen: hence the long hold. Key frames of a frozen picture differ by
    less than `moving`, those of a live one by more; a constant-bitrate encoder keeps changing them, and the freeze is
    missed.
    """

    hold_s: Seconds = 10.0
    still: Fraction = 0.0002
    moving: Fraction = 0.0015
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("moving", "still"),)


class GlobalSceneChange(AlarmRule):
    """The correlation with the settled scene fell to `raise_at`, and stayed there for `hold_s`.

    It lasts until the view is as before, with a correlation of `clear_at`, or is accepted: on the dashboard, over MQTT,
    or after `accept_s`. A scene settles when it stays the same for `settle_s`: a panning camera has none and raises
    nothing.
    """

    hold_s: Seconds = 5.0
    raise_at: Annotated[float, Field(ge=-1, le=1)] = 0.5
    clear_at: Annotated[float, Field(ge=-1, le=1)] = 0.7
    settle_s: Annotated[float, Field(gt=0)] = 10.0
    accept_s: Annotated[float, Field(gt=0)] = 24 * 3600.0
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("clear_at", "raise_at"),)


class Obstructed(AlarmRule):
    """The fraction of the picture without detail rose this far above the camera's baseline.

    Also raised where `partly` of the scene's detailed cells lost their sharpness for `partly_hold_s` and the others
    kept it: drops, dirt, a web.
    """

    raise_at: Fraction = 0.5
    clear_at: Fraction = 0.3
    partly: Fraction = 0.2
    partly_hold_s: Seconds = 60.0
    _order: ClassVar[tuple[tuple[str, str], ...]] = (("raise_at", "clear_at"),)


class SignalLoss(Settings):
    """The source is down or stalled: raised at once, because its timeout already served as the hold."""

    enabled: bool = True


class BaselineSettings(Settings):
    """How a camera's baseline is learnt: the median of the good readings of the last `window_s`.

    It counts once there are `minimum` of them over `learn_s`. In its first two hours it follows a picture that is
    clearly better than itself within `recover_s`: the camera started in noise, blur or darkness. A QualityDrop,
    ImageTooBlurry, LowContrast or Obstructed that lasts for `adapt_s` becomes the new baseline. Pictures without colour
    (infrared at night) have a baseline of their own. `by_hour`: each hour of the day (local time) has its own median
    score over a week, once it was observed on two days. What passes by for less than `passing_s` and hides a part of
    the scene is not judged.
    """

    window_s: Annotated[float, Field(gt=0)] = 3600.0
    minimum: Annotated[int, Field(ge=3, le=100)] = 10
    learn_s: Seconds = 60.0
    recover_s: Annotated[float, Field(gt=0)] = 120.0
    adapt_s: Annotated[float, Field(gt=0)] = 6 * 3600.0
    passing_s: Seconds = 8.0
    by_hour: bool = False


Profile = Literal["camera", "broadcast"]
_OFF_IN_BROADCAST = (  # what needs a fixed scene, or forbids what a director may want
    *("image_too_blurry", "image_too_dark", "image_too_bright"),
    *("low_contrast", "global_scene_change", "obstructed"),
)
_LONGER_THAN_A_SHOT_S = 20.0


class AlarmSettings(Settings):
    """The alarms of one camera.

    The `profile` broadcast is for programmes with cuts: alarms that need a fixed scene, and dark and bright pictures,
    are off unless set, and a QualityDrop must last longer than a shot. `sensitivity` above 1 raises QualityDrop,
    ImageTooBlurry, ImageTooDark, ImageTooBright, LowContrast and Obstructed at proportionally smaller deviations, below
    1 at larger ones. It does not affect Black, Frozen, GlobalSceneChange and SignalLoss.
    """

    profile: Profile = "camera"
    sensitivity: Annotated[float, Field(ge=0.2, le=5)] = 1.0
    baseline: BaselineSettings = BaselineSettings()
    quality_drop: QualityDrop = QualityDrop()
    image_too_blurry: ImageTooBlurry = ImageTooBlurry()
    image_too_dark: ImageTooDark = ImageTooDark()
    image_too_bright: ImageTooBright = ImageTooBright()
    low_contrast: LowContrast = LowContrast()
    black: Black = Black()
    frozen: Frozen = Frozen()
    global_scene_change: GlobalSceneChange = GlobalSceneChange()
    obstructed: Obstructed = Obstructed()
    signal_loss: SignalLoss = SignalLoss()

    @model_validator(mode="before")
    @classmethod
    def _fill_profile(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("profile") != "broadcast":
            return value
        off = {name: {"enabled": False} for name in _OFF_IN_BROADCAST}
        return off | {"quality_drop": {"hold_s": _LONGER_THAN_A_SHOT_S}} | value
