"""`python -m dpiqa.native`: print the folder of the C library, `libdpiqa.so.1`; its headers are in `include` there."""

from pathlib import Path

from dpiqa.native import _core

print(Path(_core.__file__).parent)
