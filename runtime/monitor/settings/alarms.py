"""When a camera's alarms are raised and cleared: every threshold, with defaults that suit a fixed camera."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dpiqa.runtime.monitor.settings.base import Settings

Seconds = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AlarmRule(Settings):
    """Settings of every alarm: whether it is enabled, and how long its condition and its end must hold."""

    enabled: bool = True
    hold_s: Seconds = 1.0
    release_s: Seconds = 1.5


class QualityDrop(AlarmRule):
    """The score is below the camera's baseline by `points`, and by `spreads` robust standard deviations.

    Cleared at the fraction `recover` of that distance. The evidence names the likely cause, if the model or else the
    signals point to one.
    """

    points: Annotated[float, Field(gt=0)] = 12.0
    spreads: Annotated[float, Field(ge=0)] = 5.0
    recover: Fraction = 0.5


class ImageTooBlurry(AlarmRule):
    """The focus lost this fraction of the camera's baseline."""

    raise_at: Fraction = 0.5
    clear_at: Fraction = 0.35


class ImageTooDark(AlarmRule):
    """The mean luma is this many stops below mid-scale (3 is a sixteenth of full scale)."""

    raise_at: float = 3.0
    clear_at: float = 2.5


class ImageTooBright(AlarmRule):
    """This fraction of the pixels is clipped at white."""

    raise_at: Fraction = 0.4
    clear_at: Fraction = 0.25


class Black(AlarmRule):
    """This fraction of the pixels is black."""

    raise_at: Fraction = 0.98
    clear_at: Fraction = 0.9


class Frozen(AlarmRule):
    """The mean difference from the previous frame is at most `still` (0 to 1); cleared at `moving`.

    A camera that sends nothing new while nothing moves also looks frozen: hence the long hold. Key frames of a live
    picture differ by ten times `still`. Those of a picture that froze before a constant-quality encoder stop differing
    after some seconds; a constant-bitrate encoder keeps changing them, and the freeze is missed.
    """

    hold_s: Seconds = 10.0
    still: Fraction = 0.0002
    moving: Fraction = 0.0005


class GlobalSceneChange(AlarmRule):
    """The correlation with the settled scene fell to `raise_at`; cleared at `clear_at`, or once a new scene settles.

    A scene settles when it stays the same for `settle_s`: a panning camera has none and raises nothing.
    """

    raise_at: Annotated[float, Field(ge=-1, le=1)] = 0.5
    clear_at: Annotated[float, Field(ge=-1, le=1)] = 0.7
    settle_s: Annotated[float, Field(gt=0)] = 10.0


class Obstructed(AlarmRule):
    """The fraction of the picture without detail rose this far above the camera's baseline."""

    raise_at: Fraction = 0.5
    clear_at: Fraction = 0.3


class SignalLoss(Settings):
    """The source is down or stalled: raised at once, because its timeout already served as the hold."""

    enabled: bool = True


class BaselineSettings(Settings):
    """How a camera's baseline is learnt: the median of the good readings of the last `window_s`, at least `minimum`.

    A QualityDrop, ImageTooBlurry or Obstructed that lasts for `adapt_s` becomes the new baseline. `by_hour`: each hour
    of the day (local time) has its own median score over a week, once it was observed on two days.
    """

    window_s: Annotated[float, Field(gt=0)] = 3600.0
    minimum: Annotated[int, Field(ge=3, le=100)] = 10
    adapt_s: Annotated[float, Field(gt=0)] = 6 * 3600.0
    by_hour: bool = False


class AlarmSettings(Settings):
    """The alarms of one camera.

    `sensitivity` above 1 raises QualityDrop, ImageTooBlurry, ImageTooDark, ImageTooBright and Obstructed at
    proportionally smaller deviations, below 1 at larger ones. It does not affect Black, Frozen, GlobalSceneChange and
    SignalLoss.
    """

    sensitivity: Annotated[float, Field(ge=0.2, le=5)] = 1.0
    baseline: BaselineSettings = BaselineSettings()
    quality_drop: QualityDrop = QualityDrop()
    image_too_blurry: ImageTooBlurry = ImageTooBlurry()
    image_too_dark: ImageTooDark = ImageTooDark()
    image_too_bright: ImageTooBright = ImageTooBright()
    black: Black = Black()
    frozen: Frozen = Frozen()
    global_scene_change: GlobalSceneChange = GlobalSceneChange()
    obstructed: Obstructed = Obstructed()
    signal_loss: SignalLoss = SignalLoss()
