"""Plots of training and evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dpiqa.runtime.files import atomic_write


def plot_history(history: list[dict[str, float]], file: Path) -> None:
    """Draw training loss and validation SRCC and PLCC over the epochs to a PNG file."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, agreement = figure.subplots(1, 2)
    loss.plot(epochs, [row["loss"] for row in history], marker="o")
    loss.set(xlabel="epoch", ylabel="training loss")
    for name in ("srcc", "plcc"):
        agreement.plot(epochs, [row[f"val_{name}"] for row in history], marker="o", label=name.upper())
    agreement.set(xlabel="epoch", ylabel="validation")
    agreement.legend()
    _save(figure, file)


def plot_scatter(score: np.ndarray, mos: np.ndarray, title: str, file: Path) -> None:
    """Draw predicted scores against MOS, float `[N]` each in 0 to 100, to a PNG file."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(mos, score, s=6, alpha=0.4, linewidths=0)
    axes.plot((0, 100), (0, 100), color="grey", linewidth=0.8)
    axes.set(xlabel="MOS", ylabel="score", xlim=(0, 100), ylim=(0, 100), title=title, aspect="equal")
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    with atomic_write(file) as target:
        figure.savefig(target, format="png", dpi=120)
