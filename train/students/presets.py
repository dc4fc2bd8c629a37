"""Named students."""

from __future__ import annotations

PRESETS = {  # the trunk's name in timm, and the input's height and width in pixels
    "paper": ("tf_efficientnet_b7", 512),
    "lite0": ("tf_efficientnet_lite0", 384),
    "lite1": ("tf_efficientnet_lite1", 384),
    "lite2": ("tf_efficientnet_lite2", 384),
    "hgnetv2_b0": ("hgnetv2_b0", 384),
    "mobilenetv4": ("mobilenetv4_conv_small", 384),
    "resnet18": ("resnet18", 384),
}
