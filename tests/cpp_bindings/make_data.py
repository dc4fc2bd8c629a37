"""Rewrite tests/cpp_bindings/data: small models, and golden vectors from OpenCV and ONNX Runtime.

Run from the repository root: `python tests/cpp_bindings/make_data.py`. The C++ tests read the files as they are, so
that they need no Python, also on a cross-built target.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from dpiqa.runtime.preprocess import resize_area
from dpiqa.runtime.spec import METADATA_KEY, InputSpec, ModelSpec, ScoreSpec, Shape
from dpiqa.train.model_files import weights_sha256

DATA = Path(__file__).parent / "data"
SIDE = 64
FORMATS = {"bgr": 1, "rgb": 2, "gray": 3, "nv12": 4, "i420": 5, "yuyv": 6, "uyvy": 7, "rgba": 8, "p010": 9}
BT601_LIMITED = 1


OTHER_SHAPES = ((SIDE // 2, SIDE), (SIDE, SIDE // 2))


def spec(precision: Literal["fp32", "int8"], weights_sha256: str, is_shaped: bool = False) -> ModelSpec:
    """The contract of the test models."""
    others = tuple(Shape(height=height, width=width) for height, width in OTHER_SHAPES)
    square = InputSpec(height=SIDE, width=SIDE)
    return ModelSpec(
        name="tiny",
        version="1",
        precision=precision,
        input=square,
        score=ScoreSpec(scale="made up"),
        causes=("blur", "noise"),
        weights_sha256=weights_sha256,
        licence="CC0-1.0",
    ).taking(InputSpec(height=SIDE, width=SIDE, other_shapes=others) if is_shaped else square)


def tiny_graph(is_int8: bool, is_shaped: bool = False) -> onnx.GraphProto:
    """Two convolutions, a pooled head with score and two causes, and a map; Q/DQ around the convolutions if INT8."""
    rng = np.random.default_rng(7)
    constants: dict[str, np.ndarray] = {
        "mean": np.float32(127.5).reshape(1),
        "scale": np.float32(127.5).reshape(1),
        "w1": rng.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(0, 0.2, (16, 8, 3, 3)).astype(np.float32),
        "ws": rng.normal(0, 0.5, (16, 1)).astype(np.float32),
        "bs": np.zeros(1, np.float32),
        "wc": rng.normal(0, 0.5, (16, 2)).astype(np.float32),
        "bc": np.zeros(2, np.float32),
        "wm": rng.normal(0, 1, (1, 16, 1, 1)).astype(np.float32),
        "hundred": np.float32(100).reshape(1),
        "one": np.array([1], np.int64),
        "zero_point": np.int8(0).reshape(()),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["nchw"], perm=[0, 3, 1, 2]),
    ]

    def quantised(name: str, scale: float) -> str:
        if not is_int8:
            return name
        constants[f"{name}_scale"] = np.float32(scale).reshape(())
        for kind, source, target in (("Quantize", name, f"{name}_q"), ("Dequantize", f"{name}_q", f"{name}_dq")):
            nodes.append(helper.make_node(f"{kind}Linear", [source, f"{name}_scale", "zero_point"], [target]))
        return f"{name}_dq"

    def convolve(source: str, weight: str, source_scale: float, target: str) -> None:
        weight_scale = float(np.abs(constants[weight]).max() / 127)
        inputs = [quantised(source, source_scale), quantised(weight, weight_scale)]
        nodes.append(helper.make_node("Conv", inputs, [f"{target}_raw"], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"{target}_raw"], [target]))

    convolve("nchw", "w1", 1 / 127, "first")
    convolve("first", "w2", 4 / 127, "second")
    nodes += [
        helper.make_node("GlobalAveragePool", ["second"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "ws", "bs"], ["score_raw"]),
        helper.make_node("Sigmoid", ["score_raw"], ["score_unit"]),
        helper.make_node("Mul", ["score_unit", "hundred"], ["score_column"]),
        helper.make_node("Squeeze", ["score_column", "one"], ["score"]),
        helper.make_node("Gemm", ["features", "wc", "bc"], ["causes_raw"]),
        helper.make_node("Sigmoid", ["causes_raw"], ["causes"]),
        helper.make_node("Conv", ["second", "wm"], ["map_raw"]),
        helper.make_node("Sigmoid", ["map_raw"], ["map_unit"]),
        helper.make_node("Mul", ["map_unit", "hundred"], ["map_plane"]),
        helper.make_node("Squeeze", ["map_plane", "one"], ["map"]),
    ]
    sides, map_sides = (["H", "W"], ["h", "w"]) if is_shaped else ([SIDE, SIDE], [SIDE // 4, SIDE // 4])
    shapes = {"score": ["N"], "causes": ["N", 2], "map": ["N", *map_sides]}
    return helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *sides, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def write_model(path: Path, precision: Literal["fp32", "int8"], is_shaped: bool = False) -> None:
    """Write one of the test models with its contract."""
    model = helper.make_model(
        tiny_graph(precision == "int8", is_shaped), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    if precision == "fp32":
        model.graph.initializer.remove(next(i for i in model.graph.initializer if i.name == "zero_point"))
    helper.set_model_props(model, {METADATA_KEY: spec(precision, weights_sha256(model), is_shaped).to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """A picture with structure and noise, BGR uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 45, (5, 7, 1)) + rng.normal(0, 18, (5, 7, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 5, (height, width, 1)), 8, 247).astype(np.uint8)


def encode(bgr: np.ndarray, name: str) -> tuple[bytes, np.ndarray]:
    """The frame's bytes in a format, and the BGR picture that OpenCV decodes them to."""
    if name == "rgb":
        return bgr[..., ::-1].tobytes(), bgr
    if name == "gray":
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        return gray.tobytes(), cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
    if name == "yuyv":
        yuyv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_YUYV)
        return yuyv.tobytes(), cv2.cvtColor(yuyv, cv2.COLOR_YUV2BGR_YUYV)
    if name == "uyvy":
        uyvy = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_UYVY)
        return uyvy.tobytes(), cv2.cvtColor(uyvy, cv2.COLOR_YUV2BGR_UYVY)
    if name == "bgr":
        return bgr.tobytes(), bgr
    if name == "rgba":
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA).tobytes(), bgr
    if name == "p010":
        return encode_p010(bgr)
    height, width = bgr.shape[:2]
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    if name == "i420":
        return i420.tobytes(), cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    chroma = i420[height:].reshape(2, -1)
    nv12 = np.vstack([i420[:height], np.stack([chroma[0], chroma[1]], -1).reshape(height // 2, width)])
    return nv12.tobytes(), cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12)


def encode_p010(bgr: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Ten bits of BT.601, limited range, which OpenCV has no name for: its matrix in double precision, both ways."""
    rows = np.array([[0.299, 0.587, 0.114], [-0.299, -0.587, 0.886], [0.701, -0.587, -0.114]])
    to_yuv = rows * [[876 / 255], [896 / 255 / 1.772], [896 / 255 / 1.402]]
    offset = [64, 512, 512]
    y, u, v = np.moveaxis(bgr[..., ::-1] @ to_yuv.T + offset, -1, 0)
    pairs = [channel.reshape(len(y) // 2, 2, -1, 2).mean((1, 3)) for channel in (u, v)]
    planes = [np.rint(plane).astype(np.uint16) for plane in (y, *pairs)]
    whole = np.dstack([planes[0], *(plane.repeat(2, 0).repeat(2, 1) for plane in planes[1:])])
    rgb = (whole - offset) @ np.linalg.inv(to_yuv).T
    packed = b"".join((plane << 6).astype("<u2").tobytes() for plane in (planes[0], np.dstack(planes[1:])))
    return packed, np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)[..., ::-1]


def main() -> None:
    """Write the models, then one golden record a case: header, frame, expected RGB, expected scores."""
    DATA.mkdir(exist_ok=True)
    sessions = []
    names: dict[Literal["fp32", "int8"], str] = {"fp32": "tiny.onnx", "int8": "tiny-int8.onnx"}
    for precision, name in names.items():
        write_model(DATA / name, precision)
        sessions.append(ort.InferenceSession(DATA / name, providers=["CPUExecutionProvider"]))
    write_model(DATA / "tiny-shapes.onnx", "fp32", is_shaped=True)
    sizes = [(SIDE, SIDE), (128, 192), (106, 150), (98, 50), (48, 36), (34, 130), (72, 66)]
    with (DATA / "golden.bin").open("wb") as file:
        for seed, (height, width) in enumerate(sizes):
            for name, code in FORMATS.items():
                if code >= FORMATS["uyvy"] and height * width > 8000:
                    continue  # the file is large enough
                frame, bgr = encode(photo(height, width, seed), name)
                rgb = resize_area(bgr, SIDE, SIDE)[..., ::-1]
                file.write(struct.pack("<6i", code, BT601_LIMITED, width, height, SIDE, SIDE))
                file.write(struct.pack("<i", len(frame)) + frame + rgb.tobytes())
                for session in sessions:
                    score, causes, quality_map = session.run(["score", "causes", "map"], {"frames": rgb[None].copy()})
                    file.write(struct.pack("<4f", score[0], *causes[0], quality_map.mean()))


if __name__ == "__main__":
    main()
