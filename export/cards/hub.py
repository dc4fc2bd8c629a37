"""A contract in the words that Hugging Face's hub reads."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from dpiqa.runtime.spec import ModelSpec

TAGS = ["image-quality-assessment", "video-quality-assessment", "no-reference", "onnx", "edge"]


def hub_metadata(spec: ModelSpec) -> str:
    """The YAML at the head of a model card: licence, data sets and every measured metric of the contract."""
    metrics = [
        EvalResult(
            task_type="image-quality-assessment",
            dataset_type=part.name,
            dataset_name=part.name,
            dataset_split=part.split,
            metric_type=name.lower(),
            metric_name=name,
            metric_value=round(getattr(part, name.lower()), 3),
        )
        for part in spec.evaluated_on
        for name in ("SRCC", "PLCC", "RMSE")
    ]
    data = ModelCardData(
        model_name=spec.name,
        license=spec.licence.lower(),
        library_name="dpiqa-edge",
        tags=TAGS,
        datasets=[part.name for part in spec.trained_on],
        eval_results=metrics or None,
    )
    return data.to_yaml()
