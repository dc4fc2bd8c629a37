"""`python -m dpiqa.native`: print the folder that holds the C library, `libdpiqa.so.1`, and in `include` its headers."""

from pathlib import Path

from dpiqa.native import _core

print(Path(_core.__file__).parent)
