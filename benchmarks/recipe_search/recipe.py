"""What a training recipe is, and the recipes that the search compares, most promising first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

BASE = "base"
CONDITIONS = ("leave:ss02", "leave:ss01", "leave:ss03", "full")
MULTI_SIZES = (256, 320, 384, 448)
VIT = "vit_small_patch14_dinov2"


@dataclass(frozen=True)
class Recipe:
    """One way to train a student; the defaults are today's (`base`).

    `regression` looks at scores and MOS as they are (`across`), after an offset that each collection learns (`offset`)
    or at their deviations from the batch's mean of the collection (`deviation`); `anchor` weighs the plain one beside
    it. `compare` says which pairs correlation and ranking look at. `pull` draws the trunk to its ImageNet weights by
    `lr * pull` a step, `frozen` and `whole` are shares of the steps: at the start with the trunk as it was, at the end
    with whole frames. Of `sizes` each step draws the side that its frames were shrunk to.
    """

    name: str = BASE
    arch: str = "tf_efficientnet_lite0"
    epochs: float = 2.0
    batch: int = 32
    frame: int = 384
    crop: int = 256
    lr: float = 1e-3
    trunk_lr: float = 0.2
    weight_decay: float = 0.01
    head_decay: float = 0.01
    warmup: float = 0.05
    ema: float = 0.998
    clip: float = 5.0
    compare: str = "within"
    regression: str = "across"
    offset_decay: float = 0.0
    anchor: float = 0.0
    ranking: str = "hinge"
    rank_weight: float = 1.0
    sampling: str = "plain"
    pull: float = 0.0
    head: str = "mlp"
    dropout: float = 0.1
    frozen: float = 0.0
    fixed_norms: bool = False
    whole: float = 0.0
    sizes: tuple[int, ...] = ()
    mixstyle: float = 0.0
    tone: float = 0.0
    grey: float = 0.0

    def changes(self) -> dict[str, Any]:
        """The fields, but for the name, in which it differs from the base."""
        base = asdict(Recipe())
        return {key: value for key, value in asdict(self).items() if key != "name" and value != base[key]}

    def frame_sizes(self) -> set[int]:
        """The sides that pictures must be shrunk to for it."""
        return {self.frame, *self.sizes}


def stage1() -> list[Recipe]:
    """The base and variations of one factor."""
    varied: dict[str, dict[str, Any]] = {
        BASE: {},
        "offset": {"regression": "offset"},
        "across": {"compare": "all"},
        "balanced": {"sampling": "collection"},
        "pull10": {"pull": 10.0},
        "offset_balanced": {"regression": "offset", "sampling": "collection"},
        "offset_soft": {"regression": "offset", "offset_decay": 0.1},
        "deviation": {"regression": "deviation", "anchor": 0.1},
        "deviations_head": {"head": "deviations"},
        "mixstyle": {"mixstyle": 0.5},
        "epochs1": {"epochs": 1.0},
        "trunk_lr.05": {"trunk_lr": 0.05},
        "tone": {"tone": 1.0},
        "multi_size": {"sizes": MULTI_SIZES},
        "whole_end": {"whole": 1 / 3},
        "pull30": {"pull": 30.0},
        "balanced_mos": {"sampling": "collection_mos"},
        "linear_head": {"head": "linear"},
        "fidelity": {"ranking": "fidelity"},
        "epochs4": {"epochs": 4.0},
        "fixed_norms": {"fixed_norms": True},
        "head_first": {"frozen": 1 / 3},
        "attention": {"head": "attention"},
        "grey": {"grey": 0.2},
        "crop320": {"crop": 320},
        "trunk_lr.1": {"trunk_lr": 0.1},
        "dropout.5": {"dropout": 0.5},
        "head_decay1": {"head_decay": 1.0},
        "head_decay.1": {"head_decay": 0.1},
        "rank2": {"rank_weight": 2.0},
        "no_ema": {"ema": 0.0},
        "pull3": {"pull": 3.0},
        "batch64": {"batch": 64, "lr": 2e-3},
        "epochs4_ema.9995": {"epochs": 4.0, "ema": 0.9995},
        "offset_balanced_mos": {"regression": "offset", "sampling": "collection_mos"},
        "epochs8": {"epochs": 8.0},
    }
    return [Recipe(name=name, **changed) for name, changed in varied.items()]


def smoke() -> list[Recipe]:
    """Few recipes that go through every path."""
    return [
        Recipe(),
        Recipe(name="smoke_heads", head="deviations", regression="offset", offset_decay=0.1, sampling="collection_mos",
               mixstyle=0.5, tone=1.0, grey=0.2, pull=10.0, frozen=0.3, dropout=0.5),
        Recipe(name="smoke_sizes", head="attention", sizes=MULTI_SIZES, whole=1 / 3, ranking="fidelity",
               regression="deviation", anchor=0.1, fixed_norms=True, ema=0.0, compare="all"),
        Recipe(name="smoke_vit", arch=VIT, frame=392, crop=392, batch=8, trunk_lr=0.03),
    ]  # fmt: skip


def combine(recipes: list[Recipe], most: int = 5) -> list[Recipe]:
    """Of recipes, best first: the first with the second, with the third too and so on; what clashes is passed over."""
    joined: dict[str, Any] = {}
    names: list[str] = []
    combinations = []
    for recipe in recipes:
        changed = recipe.changes()
        if any(key in joined and joined[key] != value for key, value in changed.items()):
            continue
        if not changed.keys() - joined.keys():
            continue
        joined |= changed
        names.append(recipe.name)
        if len(names) > 1:
            combinations.append(Recipe(name="+".join(names), **joined))
        if len(names) == most:
            break
    return combinations


def larger(recipe: Recipe) -> list[Recipe]:
    """The same with Lite2, and with a ViT-S/14 on whole frames of 392 pixels."""
    vit = replace(recipe, name=f"vit:{recipe.name}", arch=VIT, frame=392, crop=392, sizes=(), whole=0.0, mixstyle=0.0,
                  head="mlp", fixed_norms=False, trunk_lr=min(recipe.trunk_lr, 0.03))  # fmt: skip
    return [replace(recipe, name=f"lite2:{recipe.name}", arch="tf_efficientnet_lite2"), vit]


def from_dict(document: dict[str, Any]) -> Recipe:
    """A recipe out of a plan file (JSON); unknown fields raise ValueError."""
    known = {field.name for field in fields(Recipe)}
    if unknown := document.keys() - known:
        raise ValueError(f"a recipe has no field {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
    }
    return Recipe(**values)
