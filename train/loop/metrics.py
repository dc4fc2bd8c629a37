"""Agreement of predicted scores with human opinion, in the metrics of the field (VQEG, ITU-T P.1401)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats


@dataclass(frozen=True)
class Agreement:
    """SRCC, KRCC and PLCC in -1 to 1; RMSE in score points; `*_fitted` after the 4-parameter logistic."""

    images: int
    srcc: float
    krcc: float
    plcc: float
    plcc_fitted: float
    rmse: float
    rmse_fitted: float


def srcc(score: np.ndarray, mos: np.ndarray) -> float:
    """Spearman's rank correlation; 0 when one side is constant."""
    return _or_zero(stats.spearmanr, score, mos)


def plcc(score: np.ndarray, mos: np.ndarray) -> float:
    """Pearson's linear correlation; 0 when one side is constant."""
    return _or_zero(stats.pearsonr, score, mos)


def rmse(score: np.ndarray, mos: np.ndarray) -> float:
    """Root mean square error in the unit of the scores."""
    return float(np.sqrt(np.mean((score - mos) ** 2)))


def agreement(score: np.ndarray, mos: np.ndarray) -> Agreement:
    """All metrics of float `[N]` scores against float `[N]` MOS, N at least 2."""
    fitted = fit_logistic(score, mos)
    return Agreement(
        images=len(mos),
        srcc=srcc(score, mos),
        krcc=_or_zero(stats.kendalltau, score, mos),
        plcc=plcc(score, mos),
        plcc_fitted=plcc(fitted, mos),
        rmse=rmse(score, mos),
        rmse_fitted=rmse(fitted, mos),
    )


def fit_logistic(score: np.ndarray, mos: np.ndarray) -> np.ndarray:
    """Map scores to MOS by the best-fitting logistic with 4 parameters; the scores themselves if none fits."""

    def logistic(x: np.ndarray, top: float, bottom: float, centre: float, width: float) -> np.ndarray:
        return (top - bottom) * special.expit((x - centre) / width) + bottom

    start = (float(mos.max()), float(mos.min()), float(score.mean()), float(score.std()) or 1.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optimize.OptimizeWarning)
            parameters, _ = optimize.curve_fit(logistic, score, mos, p0=start, maxfev=20_000)
    except (RuntimeError, TypeError):
        return score
    return logistic(score, *parameters)


def bootstrap(score: np.ndarray, mos: np.ndarray, rounds: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of SRCC, PLCC and RMSE over resampled pictures."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(mos), (rounds, len(mos)))
    measures = {"srcc": srcc, "plcc": plcc, "rmse": rmse}
    values = {name: [measure(score[draw], mos[draw]) for draw in draws] for name, measure in measures.items()}
    return {name: (float(np.percentile(v, 2.5)), float(np.percentile(v, 97.5))) for name, v in values.items()}


def _or_zero(statistic, score: np.ndarray, mos: np.ndarray) -> float:  # noqa: ANN001 - one of scipy's overloads
    if np.ptp(score) == 0 or np.ptp(mos) == 0:
        return 0.0
    return float(statistic(score, mos)[0])
