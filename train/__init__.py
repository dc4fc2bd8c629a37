"""Learns quality: priors, teacher, student, distillation, data, metrics."""

if __name__ == "train":  # from the top of a clone, `python -m train.NAME` runs `dpiqa.train.NAME`
    from dpiqa import train

    __path__ = train.__path__
