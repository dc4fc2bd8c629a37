"""The one reader of video: which stream, which frames, which colours and which way up.

Everything that scores video reads it here: files with `read_video`, live streams with its parts.
"""

from dpiqa.runtime.video.reader import Frame, announced_duration_s, read_video
from dpiqa.runtime.video.sampler import Sampler
from dpiqa.runtime.video.source import RawVideo

__all__ = ["Frame", "RawVideo", "Sampler", "announced_duration_s", "read_video"]
