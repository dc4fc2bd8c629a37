# pyright: basic, reportMissingImports=false
"""An operator of FiftyOne that writes picture quality into samples: score, band, strongest cause, causes and map.

    pip install fiftyone ".[openvino]"
    ln -s "$PWD/examples/fiftyone" "$(fiftyone config plugins_dir)/dpiqa"

Then choose "Score picture quality" in the App's operator browser, or from Python:

    foo.execute_operator("@dpiqa/quality/score_quality", {"view": view, "params": {"model": "dpiqa-lite0"}})
"""

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from dpiqa import InputError, Scorer
from dpiqa.runtime.reading import main_cause
from dpiqa.runtime.scorer import Explanation
from fiftyone.operators import types

FIELD, MODEL = "quality", "dpiqa-lite0"


class ScoreQuality(foo.Operator):
    """Scores the pictures of the current view into the fields `quality`, `quality_band`, `_cause`, `_causes`, `_map`.

    What cannot be scored gets the reason in `quality_error` and nothing else.
    """

    @property
    def config(self) -> foo.OperatorConfig:
        """See fiftyone.operators.Operator."""
        return foo.OperatorConfig(
            name="score_quality", label="Score picture quality", allow_delegated_execution=True, dynamic=False
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        """See fiftyone.operators.Operator."""
        inputs = types.Object()
        inputs.str("model", label="Model", description="Shipped model or model file", default=MODEL, required=True)
        inputs.bool("with_maps", label="Maps", description="Where the quality is good or bad", default=True)
        return types.Property(inputs, view=types.View(label="Score picture quality"))

    def execute(self, ctx: Any) -> dict[str, int]:
        """Score every sample; returns how many were scored and how many failed."""
        scorer, counts = Scorer(ctx.params.get("model", MODEL)), {"scored": 0, "failed": 0}
        for sample in ctx.target_view().iter_samples(autosave=True, progress=True):
            try:
                write(sample, scorer.explain(sample.filepath), ctx.params.get("with_maps", True))
                counts["scored"] += 1
            except InputError as error:
                sample[f"{FIELD}_error"] = str(error)
                counts["failed"] += 1
        ctx.ops.reload_dataset()
        return counts

    def resolve_output(self, ctx: Any) -> types.Property:
        """See fiftyone.operators.Operator."""
        outputs = types.Object()
        outputs.int("scored", label="Scored")
        outputs.int("failed", label="Failed")
        return types.Property(outputs)


def write(sample: Any, explanation: Explanation, with_maps: bool) -> None:
    """Put an explanation into a sample's fields."""
    reading = explanation.reading
    sample[FIELD] = reading.score
    sample[f"{FIELD}_band"] = reading.void or reading.band
    sample[f"{FIELD}_cause"] = main_cause(reading.causes)
    sample[f"{FIELD}_causes"] = dict(reading.causes)
    if with_maps and explanation.map is not None:
        sample[f"{FIELD}_map"] = fo.Heatmap(map=explanation.map, range=[0, 100])  # type: ignore[attr-defined]


def register(plugin: Any) -> None:
    """See FiftyOne's plugins."""
    plugin.register(ScoreQuality)
