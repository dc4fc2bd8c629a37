"""Scores frames, watches streams, tells people; never imports PyTorch."""

if __name__ == "runtime":  # from the top of a clone, `python -m runtime.NAME` runs `dpiqa.runtime.NAME`
    from dpiqa import runtime

    __path__ = runtime.__path__
