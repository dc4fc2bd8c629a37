"""Makes models small and proves that they still see; each module is a command."""

try:
    import onnx as _onnx  # noqa: F401
except ImportError:
    # With this name, `python -m export.trt` tells it in one line.
    raise ImportError("the exports need what `pip install 'dpiqa-edge[export]'` brings", name=__name__) from None
