"""When an alarm of a camera is raised and cleared: every threshold, with a default that suits a fixed camera."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dpiqa.runtime.monitor.settings.base import Settings

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class AlarmRule(Settings):
    """What every alarm has: whether it is watched for, and how long its condition and its end must last."""

    enabled: bool = True
    hold_s: Seconds = 1.0
    release_s: Seconds = 1.5


class QualityDrop(AlarmRule):
    """The score lies below the camera's own baseline by `points`, and by `spreads` robust standard deviations of it.

    It ends at the share `recover` of that distance. Its evidence names the likely cause, as the model or else the
    signals see it, where there is one.
    """

    points: Annotated[float, Field(gt=0)] = 12.0
    spreads: Annotated[float, Field(ge=0)] = 5.0
    recover: Share = 0.5


class ImageTooBlurry(AlarmRule):
    """The focus lost this share of the camera's own baseline."""

    raise_at: Share = 0.5
    clear_at: Share = 0.35


class ImageTooDark(AlarmRule):
    """The mean luma lies this many stops below the middle of the scale (3 is a sixteenth)."""

    raise_at: float = 3.0
    clear_at: float = 2.5


class ImageTooBright(AlarmRule):
    """This share of the pixels is clipped at white."""

    raise_at: Share = 0.4
    clear_at: Share = 0.25


class Black(AlarmRule):
    """This share of the pixels is black."""

    raise_at: Share = 0.98
    clear_at: Share = 0.9


class Frozen(AlarmRule):
    """The mean difference to the frame before is at most `still` (0 to 1); it ends at `moving`.

    A camera that sends nothing new while nothing moves looks frozen too: hence the long hold. Key frames of a live
    picture differ by ten times `still`. Of one that froze before an encoder of constant quality they do not after some
    seconds; an encoder that keeps to a bitrate goes on to draw it differently, and it is not told.
    """

    hold_s: Seconds = 10.0
    still: Share = 0.0002
    moving: Share = 0.0005


class GlobalSceneChange(AlarmRule):
    """The correlation with the settled scene fell to `raise_at`; it ends at `clear_at`, or when a new scene settled.

    A scene is settled when it stayed the same for `settle_s`: a camera that pans has none, and raises nothing.
    """

    raise_at: Annotated[float, Field(ge=-1, le=1)] = 0.5
    clear_at: Annotated[float, Field(ge=-1, le=1)] = 0.7
    settle_s: Annotated[float, Field(gt=0)] = 10.0


class Obstructed(AlarmRule):
    """The share of the picture without any detail grew by this much over the camera's own baseline."""

    raise_at: Share = 0.5
    clear_at: Share = 0.3


class SignalLoss(Settings):
    """The source is down or stalled: raised at once, its time-out was the hold."""

    enabled: bool = True


class BaselineSettings(Settings):
    """How a camera's normal is learnt: the median of the good readings of the last `window_s`, from `minimum` on.

    A QualityDrop, ImageTooBlurry or Obstructed that lasts for `adapt_s` is the new normal. `by_hour`: each hour of the
    day (local time) has its own median of the scores, over a week, once it was seen on two days.
    """

    window_s: Annotated[float, Field(gt=0)] = 3600.0
    minimum: Annotated[int, Field(ge=3, le=100)] = 10
    adapt_s: Annotated[float, Field(gt=0)] = 6 * 3600.0
    by_hour: bool = False


class AlarmSettings(Settings):
    """The alarms of one camera.

    `sensitivity` above 1 raises QualityDrop, ImageTooBlurry, ImageTooDark, ImageTooBright and Obstructed at
    proportionally smaller deviations, below 1 at larger ones; Black, Frozen, GlobalSceneChange and SignalLoss have
    nothing to be sensitive about.
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
