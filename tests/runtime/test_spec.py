"""The contract: what is written is read back, and whatever else is read is refused with a sentence."""

from __future__ import annotations

import json
from itertools import permutations
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import make_spec

from dpiqa.errors import ContractError
from dpiqa.runtime.spec import EvaluatedOn, InputSpec, ModelSpec, ScoreSpec, Shape, TrainedOn, parse_spec

names = st.text(min_size=1, max_size=20)
shares = st.floats(-1, 1)
trained = st.builds(TrainedOn, name=names, split=names, images=st.integers(1), licence=names)
evaluated = st.builds(
    EvaluatedOn,
    name=names,
    split=names,
    images=st.integers(2),
    srcc=shares,
    plcc=shares,
    rmse=st.floats(0, allow_infinity=False),
)
inputs = st.builds(InputSpec, height=st.integers(32, 4096), width=st.integers(32, 4096))
sides = st.integers(1, 128).map(lambda count: 32 * count)
shape_lists = st.lists(
    st.builds(Shape, height=sides, width=sides),
    min_size=2,
    max_size=16,
    unique_by=lambda shape: shape.width / shape.height,
)
shaped_inputs = shape_lists.map(
    lambda shapes: InputSpec(height=shapes[0].height, width=shapes[0].width, other_shapes=tuple(shapes[1:]))
)
specs = st.builds(
    ModelSpec,
    name=names,
    version=names,
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
    input=inputs,
    score=st.builds(ScoreSpec, scale=names),
    causes=st.lists(names, unique=True, max_size=4).map(tuple),
    trained_on=st.lists(trained, max_size=3).map(tuple),
    evaluated_on=st.lists(evaluated, max_size=3).map(tuple),
    weights_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    licence=names,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(specs, shaped_inputs)
def test_what_is_written_is_read_back(spec: ModelSpec, frames: InputSpec) -> None:
    assert parse_spec(spec.to_json(), "model.onnx") == spec
    assert "other_shapes" not in spec.to_json()
    shaped = spec.taking(frames)
    assert (shaped.spec_version, parse_spec(shaped.to_json(), "model.onnx")) == (2, shaped)
    assert shaped.taking(spec.input) == spec
    assert parse_spec(spec.to_json().encode(), "model.onnx") == spec


@given(st.integers(0), st.integers(0, 60), st.binary(max_size=40))
def test_damaged_bytes_are_refused_or_still_a_contract(place: int, length: int, junk: bytes) -> None:
    document = make_spec(("blur",)).to_json().encode()
    place %= len(document)
    _parse_or_refuse(document[:place] + junk + document[place + length :])


@given(st.binary())
def test_any_bytes_are_refused(junk: bytes) -> None:
    _parse_or_refuse(junk)


@given(st.sampled_from(sorted(json.loads(make_spec().to_json()))), json_values)
def test_any_value_in_any_field_is_refused_or_valid(field: str, value: object) -> None:
    _parse_or_refuse(json.dumps(json.loads(make_spec().to_json()) | {field: value}))


@given(shaped_inputs, st.integers(32, 16384), st.integers(32, 16384))
def test_a_frame_gets_the_nearest_aspect(frames: InputSpec, height: int, width: int) -> None:
    distances = [abs(log(width / height) - log(one.width / one.height)) for one in frames.shapes]
    chosen = frames.shapes.index(frames.nearest(height, width))
    assert distances[chosen] == pytest.approx(min(distances), abs=1e-12)
    assert frames.nearest(frames.shapes[-1].height, frames.shapes[-1].width) == frames.shapes[-1]


def test_of_equally_near_aspects_the_first_is_taken() -> None:
    for first, second in permutations([Shape(height=288, width=512), Shape(height=512, width=288)]):
        frames = InputSpec(height=first.height, width=first.width, other_shapes=(second,))
        assert frames.nearest(77, 77) == frames.shapes[0]
    assert make_spec().input.nearest(77, 300) == make_spec().input


def _parse_or_refuse(document: str | bytes) -> None:
    try:
        spec = parse_spec(document, "model.onnx")
    except ContractError:
        return
    assert parse_spec(spec.to_json(), "model.onnx") == spec


def _shaped(*others: tuple[int, int], version: int = 2, **fields: object) -> str:
    document = json.loads(make_spec().to_json())
    document["spec_version"] = version
    document["input"] |= {"other_shapes": [{"height": one[0], "width": one[1]} for one in others]} | fields
    return json.dumps(document)


def _changed(path: str, value: object) -> str:
    document = json.loads(make_spec().to_json())
    *sections, field = path.split(".")
    section = document
    for name in sections:
        section = section[name]
    section[field] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (_changed("input.height", 0), "m.onnx: contract field 'input.height': .* 32, found 0"),
        (_changed("input.width", 100_000), "'input.width': .* 4096, found 100000"),
        (_changed("input.resize", "lanczos"), "'input.resize': .*'area'.*lanczos"),
        (_changed("causes", ["blur", "blur"]), "distinct"),
        (_changed("score.minimum", 1), "'score.minimum': .* 0, found 1"),
        (_changed("score.maximum", 5), "'score.maximum': .* 100, found 5"),
        (_changed("weights_sha256", "abc"), "'weights_sha256'"),
        (_changed("colour", "BGR"), "'colour'"),
        (_changed("score.maximum", float("nan")), "'score.maximum': .*finite"),
        (_changed("spec_version", 7), "version 7, this release reads up to 2: upgrade dpiqa-edge"),
        (_changed("spec_version", 0), "'spec_version'"),
        (_changed("spec_version", 2), "'input.other_shapes': must list shapes in version 2"),
        (_shaped((32, 64), version=1), "'input.other_shapes': is of version 2, this is version 1"),
        (_shaped(), "'input.other_shapes': .*at least 1"),
        (_shaped(*((32, 32 * count) for count in range(2, 18))), "'input.other_shapes': .*at most 15"),
        (_shaped(other_shapes=None), "'input.other_shapes': .*found None"),
        (_shaped((40, 64)), "'input.other_shapes': .*multiples of 32, 40x64 is not"),
        (_shaped((32, 64), height=65), "'input.other_shapes': .*multiples of 32, 65x64 is not"),
        (_shaped((32, 64), (64, 128)), "'input.other_shapes': .*distinct, that of 64x128 is not"),
        (_shaped((96, 96)), "'input.other_shapes': .*distinct, that of 96x96 is not"),
        (_shaped((32, 8192)), "'input.other_shapes.0.width': .*4096, found 8192"),
        ("{'name': 1}", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must be a JSON object, found list"),
        ("{}", "contract field 'spec_version': Field required"),
        ('{"spec_version": 1}', "contract field 'name': Field required"),
    ],
)
def test_refusal_names_file_field_and_expectation(document: str, words: str) -> None:
    with pytest.raises(ContractError, match=words) as refusal:
        parse_spec(document, "m.onnx")
    assert str(refusal.value).startswith("m.onnx: ")
    assert "\n" not in str(refusal.value)
