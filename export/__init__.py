"""Makes models small and proves that they still see."""

if __name__ == "export":  # from the top of a clone, `python -m export.NAME` runs `dpiqa.export.NAME`
    from dpiqa import export

    __path__ = export.__path__
