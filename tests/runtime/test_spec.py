"""The contract: what is written is read back, and whatever else is read is refused with a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import make_spec

from dpiqa.errors import ContractError
from dpiqa.runtime.spec import EvaluatedOn, InputSpec, ModelSpec, ScoreSpec, TrainedOn, parse_spec

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
specs = st.builds(
    ModelSpec,
    name=names,
    version=names,
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
    input=st.builds(InputSpec, height=st.integers(32, 4096), width=st.integers(32, 4096)),
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


@given(specs)
def test_what_is_written_is_read_back(spec: ModelSpec) -> None:
    assert parse_spec(spec.to_json(), "model.onnx") == spec
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


def _parse_or_refuse(document: str | bytes) -> None:
    try:
        spec = parse_spec(document, "model.onnx")
    except ContractError:
        return
    assert parse_spec(spec.to_json(), "model.onnx") == spec


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
        (_changed("spec_version", 7), "version 7, this release reads up to 1: upgrade dpiqa-edge"),
        (_changed("spec_version", 0), "'spec_version'"),
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
