"""A folder for the hub: the shipped model, its card, and metadata that the hub's own reader takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.export.hub import main

MODELS = Path(__file__).parents[2] / "models"


def test_the_folder_has_the_models_and_a_card_with_their_metrics(tmp_path: Path) -> None:
    files = [MODELS / "dpiqa-lite0.onnx", MODELS / "dpiqa-lite0-int8.onnx"]
    main(files, MODELS / "dpiqa-lite0.md", tmp_path / "hub")
    card = ModelCard.load(tmp_path / "hub" / "README.md")
    assert isinstance(card.data, ModelCardData)
    evaluated = Scorer(MODELS / "dpiqa-lite0.onnx", engine="onnxruntime").spec.evaluated_on
    results = {(part.dataset_type, part.metric_type): part.metric_value for part in card.data.eval_results or []}
    assert results["clive", "srcc"] == round(next(part.srcc for part in evaluated if part.name == "clive"), 3)
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "dpiqa-edge")
    assert card.text.strip() == (MODELS / "dpiqa-lite0.md").read_text().strip()
    assert [(tmp_path / "hub" / file.name).read_bytes() == file.read_bytes() for file in files] == [True, True]


def test_a_card_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.md: no such file"):
        main([MODELS / "dpiqa-lite0.onnx"], tmp_path / "none.md", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
