"""No group is ever torn apart, and no test picture has a near-duplicate in training or validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpiqa.errors import InputError
from dpiqa.train.data.datasets import Part, Sample
from dpiqa.train.data.splits import may_be_known, merge, resolve, split

PARTS: st.SearchStrategy[Part] = st.sampled_from(["train", "test"])
SAMPLES = st.lists(st.tuples(st.integers(0, 30), PARTS), min_size=1, max_size=120).map(
    lambda rows: [Sample(Path(f"{n}.png"), 50, f"g{group}", part, f"s{n % 3}") for n, (group, part) in enumerate(rows)]
)


def test_auto_is_official_where_anything_was_divided() -> None:
    whole = [Sample(Path(f"{n}.png"), 50, str(n)) for n in range(20)]
    assert resolve("auto", whole) == "grouped"
    assert resolve("auto", [*whole, Sample(Path("t.png"), 50, "t", "test")]) == "official"
    assert resolve("ratio:3", whole) == "ratio:3"


@pytest.mark.parametrize(
    ("trained", "tested", "known"),
    [
        ([], "all", False),
        (["official"], "official", False),
        (["grouped"], "official", False),
        (["leave:a"], "official", False),
        (["official"], "all", True),
        (["ratio:1"], "official", True),
        (["ratio:1"], "ratio:1", False),
        (["official", "ratio:1"], "official", True),
        (["pristine"], "all", True),
        (["calibration"], "official", True),
    ],
)
def test_what_a_model_may_know(trained: list[str], tested: str, known: bool) -> None:
    assert may_be_known(trained, tested) == known


@given(SAMPLES, st.sampled_from(["grouped", "ratio:0", "ratio:7", "official", "leave:s0"]), st.integers(0, 3))
def test_groups_stay_together(samples: list[Sample], how: str, seed: int) -> None:
    if how == "official" and not any(sample.official == "test" for sample in samples):
        with pytest.raises(InputError, match="no official test part"):
            split(samples, how, seed)
        return
    tested = {sample.group for sample in samples if sample.official == "test"}
    if how == "leave:s0" and not any(sample.subset == "s0" and sample.group not in tested for sample in samples):
        with pytest.raises(InputError, match="no subset 's0'"):
            split(samples, how, seed)
        return
    parts = split(samples, how, seed)
    train, val, test = ({sample.group for sample in part} for part in (parts.train, parts.val, parts.test))
    assert not train & val
    assert not train & test
    assert not val & test
    assert len(parts.train) + len(parts.val) + len(parts.test) + parts.dropped == len(samples)
    if how == "leave:s0":
        assert {sample.subset for sample in parts.val} == {"s0"}
        assert not any(sample.subset == "s0" for sample in parts.train)
    if how in ("official", "grouped", "leave:s0"):
        assert all(sample.official == "test" for sample in parts.test)
        assert all(sample.official == "train" for sample in parts.train + parts.val)


def test_ten_ratio_splits_differ_hold_a_fifth_and_repeat() -> None:
    samples = [Sample(Path(f"{n}.png"), 50, str(n)) for n in range(200)]
    tests = [tuple(sample.path for sample in split(samples, f"ratio:{k}").test) for k in range(10)]
    assert len(set(tests)) == 10
    assert {len(test) for test in tests} == {40}
    assert tuple(sample.path for sample in split(samples, "ratio:3").test) == tests[3]


def test_authors_validation_part_is_used() -> None:
    parts: dict[str, Part] = {"a": "train", "b": "val", "c": "test"}
    samples = [Sample(Path(f"{name}.png"), 50, name, part) for name, part in parts.items()]
    divided = split(samples, "official")
    assert [[s.path.stem for s in part] for part in (divided.train, divided.val, divided.test)] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("how", ["", "random", "ratio", "ratio:10", "ratio:-1", "ratio:x"])
def test_unknown_split(how: str) -> None:
    with pytest.raises(InputError, match="unknown split"):
        split([Sample(Path("a.png"), 50, "a")], how)


def test_merge_adds_the_parts_up() -> None:
    one = split([Sample(Path(f"{n}.png"), 50, str(n)) for n in range(50)], "ratio:0")
    both = merge([one, one])
    assert (len(both.train), len(both.val), len(both.test)) == (2 * len(one.train), 2 * len(one.val), 2 * len(one.test))
