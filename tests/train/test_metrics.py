"""The measures agree with their definitions, also where scores are constant or the logistic does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpiqa.train.loop.metrics import agreement, bootstrap, fit_logistic, plcc, srcc


def test_perfect_agreement() -> None:
    mos = np.linspace(5, 95, 40)
    metrics = agreement(mos, mos)
    assert (metrics.srcc, metrics.plcc, metrics.krcc) == pytest.approx((1, 1, 1))
    assert metrics.rmse == 0
    assert metrics.rmse_fitted == pytest.approx(0, abs=1.0)


def test_logistic_straightens_a_monotone_bend() -> None:
    score = np.linspace(0, 100, 200)
    mos = 10 + 80 / (1 + np.exp(-(score - 60) / 5))
    metrics = agreement(score, mos)
    assert metrics.srcc == pytest.approx(1)
    assert metrics.plcc < 0.95
    assert metrics.plcc_fitted == pytest.approx(1, abs=1e-3)
    assert np.all(np.diff(fit_logistic(score, mos)) >= 0)


def test_constant_scores_agree_with_nothing() -> None:
    mos = np.linspace(0, 100, 10)
    metrics = agreement(np.full(10, 50.0), mos)
    assert (metrics.srcc, metrics.plcc, metrics.krcc) == (0, 0, 0)


def test_known_values() -> None:
    score, mos = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])
    metrics = agreement(score, mos)
    assert metrics.srcc == pytest.approx(0.8)
    assert metrics.krcc == pytest.approx(2 / 3)
    assert metrics.rmse == pytest.approx(np.sqrt(0.5))


def test_interval_holds_the_figure_and_narrows_with_more_pictures() -> None:
    rng = np.random.default_rng(0)
    mos = rng.uniform(0, 100, 800)
    score = mos + rng.normal(0, 15, 800)
    wide, narrow = bootstrap(score[:50], mos[:50], 200)["srcc"], bootstrap(score, mos, 200)["srcc"]
    assert narrow[0] < srcc(score, mos) < narrow[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=30))
def test_correlations_stay_in_range(pairs: list[tuple[float, float]]) -> None:
    score, mos = np.array(pairs).T
    for measure in (srcc, plcc):
        with np.errstate(all="ignore"):
            assert -1 - 1e-9 <= measure(score.round(3), mos.round(3)) <= 1 + 1e-9
