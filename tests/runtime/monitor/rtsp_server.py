# pyright: basic, reportMissingImports=false
"""Serve H.264 video files over and over at rtsp://127.0.0.1:PORT/0, /1, ... with GStreamer, which Debian's Python has.

/usr/bin/python3 rtsp_server.py PORT FILE...
"""

import sys
from time import monotonic
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PARSE = "filesrc name=file ! qtdemux ! h264parse config-interval=-1 ! {} ! appsink name=frames sync=false"
SERVE = "( appsrc name=frames is-live=true format=time ! {} ! rtph264pay name=pay0 )"
CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"


def read(path: str) -> list[tuple[bytes, int, int, int]]:
    """The encoded frames of a file in their order: bytes, presentation and decoding times and duration in ns."""
    pipeline = Gst.parse_launch(PARSE.format(CAPS))
    pipeline.get_by_name("file").set_property("location", path)
    pipeline.set_state(Gst.State.PLAYING)
    frames = []
    while (sample := pipeline.get_by_name("frames").emit("pull-sample")) is not None:
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        frames.append((data, buffer.pts, buffer.dts, buffer.duration))
    pipeline.set_state(Gst.State.NULL)
    if not frames:
        sys.exit(f"{path}: no H.264 in it")
    return frames


def feed(source: Any, frames: list[tuple[bytes, int, int, int]]) -> None:
    """Push the frames when they are due, again and again, as long as somebody listens."""
    first = frames[0][2]
    length = sum(frame[3] for frame in frames)
    began, sent = monotonic(), 0

    def push() -> bool:
        nonlocal sent
        while True:
            data, pts, dts, duration = frames[sent % len(frames)]
            shift = sent // len(frames) * length - first
            if (dts + shift) / Gst.SECOND > monotonic() - began:
                return True
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.dts, buffer.duration = pts + shift, dts + shift, duration
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return False
            sent += 1

    GLib.timeout_add(5, push)


def main(port: str, *files: str) -> None:
    """Serve for ever."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    for number, path in enumerate(files):
        frames = read(path)
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(SERVE.format(CAPS))
        factory.set_shared(True)
        factory.connect(
            "media-configure",
            lambda _, media, frames: feed(media.get_element().get_by_name("frames"), frames),
            frames,
        )
        server.get_mount_points().add_factory(f"/{number}", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("serving", flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
