"""What each loss rewards, and that none breaks on batches where it says nothing."""

from __future__ import annotations

import pytest
import torch

from dpiqa.train.loop.losses import correlation_loss, quality_loss, ranking_loss, regression_loss

MOS = torch.tensor([10.0, 30.0, 50.0, 70.0, 90.0])


def test_perfect_scores_cost_nothing() -> None:
    assert quality_loss(MOS, MOS).item() == pytest.approx(0, abs=1e-6)


def test_correlation_ignores_scale_and_offset() -> None:
    assert correlation_loss(MOS / 4 + 40, MOS).item() == pytest.approx(0, abs=1e-6)
    assert correlation_loss(-MOS, MOS).item() == pytest.approx(2, abs=1e-6)


def test_ranking_counts_only_pairs_in_the_wrong_order_or_too_close() -> None:
    swapped = MOS[[1, 0, 2, 3, 4]]
    assert ranking_loss(MOS, MOS).item() == 0
    assert ranking_loss(swapped, MOS).item() > 0
    # by hand: 2 pairs, one picture better by 1 in MOS but scored worse by 2; margin 0.25 * 0.5
    value = ranking_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0])).item()
    assert value == pytest.approx((0.125 + 2) / 10)


def test_regression_is_quadratic_near_and_linear_far() -> None:
    near, far = (regression_loss(torch.tensor([50.0 + d]), torch.tensor([50.0])).item() for d in (5, 50))
    assert near == pytest.approx(0.125)
    assert far == pytest.approx(4.5)


def test_with_collections_only_pictures_of_one_are_compared() -> None:
    """That all of one collection score too high costs their error alone, not their rank among the others."""
    mos, collection = torch.cat([MOS, MOS]), torch.tensor([3] * 5 + [7] * 5)
    raised = torch.cat([MOS, MOS + 30])
    assert quality_loss(raised, mos, collection).item() == pytest.approx(regression_loss(raised, mos).item(), abs=1e-6)
    assert quality_loss(raised, mos).item() > regression_loss(raised, mos).item() + 0.1


def test_a_collection_counts_by_its_pictures_and_one_of_two_is_not_compared() -> None:
    score, mos = torch.cat([MOS, -MOS[:3], MOS[[1, 0]]]), torch.cat([MOS, MOS[:3], MOS[:2]])
    collection = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    wrong = correlation_loss(-MOS[:3], MOS[:3]) + ranking_loss(-MOS[:3], MOS[:3])
    expected = regression_loss(score, mos) + 3 / 8 * wrong
    assert quality_loss(score, mos, collection).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("collection", [None, torch.arange(4)])
@pytest.mark.parametrize("mos", [torch.full((4,), 50.0), torch.tensor([50.0])])
def test_batches_without_spread_have_finite_gradients(mos: torch.Tensor, collection: torch.Tensor | None) -> None:
    score = torch.full_like(mos, 40.0, requires_grad=True)
    quality_loss(score, mos, collection if collection is None else collection[: len(mos)]).backward()
    assert score.grad is not None
    assert torch.isfinite(score.grad).all()
