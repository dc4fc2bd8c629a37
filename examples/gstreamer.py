# pyright: basic, reportMissingImports=false
"""Score what a GStreamer pipeline decodes, and post each reading as a message on its bus.

    python gstreamer.py "filesrc location=clip.mp4 ! decodebin" --fps 2
    python gstreamer.py "v4l2src ! videoconvert" --fps 5 --live

GStreamer's Python comes from the distribution: python3-gi and gir1.2-gst-plugins-base-1.0. The part that an application
takes over is `Readings`: it hangs on an appsink, and the application listens on the bus as it does anyway.
"""

import argparse
import ctypes
import sys
from typing import Any

import gi
import numpy as np

# GStreamer brings libunwind along, whose way to unwind C++ exceptions must not take the place of the compiler's own.
ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)
gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

from dpiqa import Scorer  # noqa: E402

CAPS = "videoconvert ! videorate ! video/x-raw,format=BGR,framerate={rate} ! appsink name=frames sync=false"
MESSAGE = "dpiqa-reading"


class Readings:
    """Scores the frames (BGR) of an appsink in its streaming thread and posts application messages `dpiqa-reading`.

    Fields: `pts_s`, `score`, `band`, and `json` with the whole reading. With `live` the newest frame wins.
    """

    def __init__(self, sink: Any, scorer: Scorer, live: bool = False) -> None:
        self._scorer, self._count = scorer, 0
        sink.set_property("emit-signals", True)
        sink.set_property("max-buffers", 1)
        sink.set_property("drop", live)
        sink.connect("new-sample", self._score)

    def _score(self, sink: Any) -> Any:
        sample = sink.emit("pull-sample")
        info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
        buffer = sample.get_buffer()
        is_mapped, data = buffer.map(Gst.MapFlags.READ)
        if not is_mapped:
            return Gst.FlowReturn.ERROR
        try:
            pixels = np.ndarray((info.height, info.width, 3), np.uint8, data.data, strides=(info.stride[0], 3, 1))
            reading = self._scorer.score(pixels, sink.get_name())
        finally:
            buffer.unmap(data)
        reading = reading.model_copy(update={"index": self._count, "pts_s": buffer.pts / Gst.SECOND})
        self._count += 1
        fields = Gst.Structure.new_empty(MESSAGE)
        for name in ("pts_s", "score", "band"):
            fields.set_value(name, getattr(reading, name))
        fields.set_value("json", reading.to_json())
        sink.post_message(Gst.Message.new_application(sink, fields))
        return Gst.FlowReturn.OK


def main() -> None:
    """Run a pipeline to its end and print the messages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pipeline", help="Description of a pipeline that ends in decoded video.")
    parser.add_argument("--fps", type=int, default=1)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--model")
    arguments = parser.parse_args()
    Gst.init(None)
    scorer = Scorer(arguments.model)
    pipeline = Gst.parse_launch(f"{arguments.pipeline} ! {CAPS.format(rate=f'{arguments.fps}/1')}")
    sink = pipeline.get_by_name("frames")
    readings = Readings(sink, scorer, arguments.live)
    pipeline.set_state(Gst.State.PLAYING)
    bus = pipeline.get_bus()
    status = None
    while status is None:
        message = bus.timed_pop(Gst.CLOCK_TIME_NONE)
        if message.type == Gst.MessageType.APPLICATION and message.get_structure().has_name(MESSAGE):
            print(message.get_structure().get_string("json"), flush=True)
        elif message.type == Gst.MessageType.ERROR:
            status = f"{message.src.get_name()}: {message.parse_error().gerror.message}"
        elif message.type == Gst.MessageType.EOS:
            status = 0
    pipeline.set_state(Gst.State.NULL)
    del readings
    sys.exit(status)


if __name__ == "__main__":
    main()
