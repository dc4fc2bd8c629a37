"""Whatever a picture is coded as and called, what is read is what a person would see."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made import Ended, photo
from PIL import Image, ImageCms, ImageOps

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.formats.kinds import PICTURE_SUFFIXES
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.sources import is_video

Command = Callable[..., Ended]
BGR = cv2.GaussianBlur(photo(96, 128), (5, 5), 0)
PICTURE = Image.fromarray(np.ascontiguousarray(BGR[..., ::-1]))
BLACK = Image.new("RGB", PICTURE.size)


def _coded(form: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _by_opencv(suffix: str, pixels: np.ndarray = BGR) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def _light(pixels: np.ndarray) -> np.ndarray:
    share = pixels / np.float32(255)
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _netpbm(magic: bytes, largest: int, pixels: np.ndarray) -> bytes:
    values = np.rint(pixels / 255 * largest).astype(int)
    size = b"%d %d" % pixels.shape[1::-1]
    body = b" ".join(b"%d" % value for value in values.ravel())
    if magic in (b"P5", b"P6"):
        body = values.astype(">u2" if largest > 255 else "u1").tobytes()
    return b"%s\n# a comment\n%s\n%d\n%s" % (magic, size, largest, body)


def _apng_with_a_hidden_picture() -> bytes:
    return _coded("PNG", BLACK, save_all=True, append_images=[PICTURE, BLACK], default_image=True)


def _animated(form: str, **options: Any) -> bytes:
    return _coded(form, save_all=True, append_images=[BLACK], **options)


FORMATS: dict[str, tuple[Callable[[], bytes], float]] = {  # with the levels that coding may move a pixel by, on average
    "jpg": (lambda: _coded("JPEG", quality=98, subsampling=0), 1),
    "jfif": (lambda: _coded("JPEG", quality=98, subsampling=0), 1),
    "mpo": (lambda: _coded("MPO", quality=98, subsampling=0, save_all=True, append_images=[BLACK]), 1),
    "png": (lambda: _coded("PNG"), 0),
    "apng": (lambda: _animated("PNG"), 0),
    "hidden.png": (_apng_with_a_hidden_picture, 0),
    "16_bits.png": (lambda: _by_opencv(".png", BGR.astype(np.uint16) * 257), 0),
    "bmp": (lambda: _coded("BMP"), 0),
    "gif": (lambda: _animated("GIF"), 6),
    "webp": (lambda: _coded("WEBP", lossless=True), 0),
    "animated.webp": (lambda: _animated("WEBP", lossless=True), 0),
    "tif": (lambda: _coded("TIFF", compression="tiff_lzw"), 0),
    "16_bits.tiff": (lambda: _by_opencv(".tiff", BGR.astype(np.uint16) * 257), 0),
    "floats.tiff": (lambda: _by_opencv(".tiff", _light(BGR)), 0.1),
    "cmyk.tiff": (lambda: _coded("TIFF", PICTURE.convert("CMYK")), 1),
    "jp2": (lambda: _coded("JPEG2000"), 0),
    "j2k": (lambda: _coded("JPEG2000", no_jp2=True), 0),
    "ppm": (lambda: _netpbm(b"P6", 255, BGR[..., ::-1]), 0),
    "10_bits.ppm": (lambda: _netpbm(b"P6", 1023, BGR[..., ::-1]), 0),
    "16_bits.ppm": (lambda: _netpbm(b"P6", 65535, BGR[..., ::-1]), 0),
    "100_levels.ppm": (lambda: _netpbm(b"P6", 100, BGR[..., ::-1]), 1),
    "plain.ppm": (lambda: _netpbm(b"P3", 4095, BGR[..., ::-1]), 0),
    "pam": (lambda: b"P7\nWIDTH 128\nHEIGHT 96\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + BGR[..., ::-1].tobytes(), 0),
    "pfm": (lambda: _by_opencv(".pfm", _light(BGR)), 0.1),
    "hdr": (lambda: _by_opencv(".hdr", _light(BGR)), 1.5),
    "ras": (lambda: _by_opencv(".ras"), 0),
    "avif": (lambda: _coded("AVIF", quality=100, subsampling="4:4:4"), 1),
    "sequence.avif": (lambda: _animated("AVIF", quality=100, subsampling="4:4:4"), 1),
}


@pytest.fixture(params=FORMATS)
def coded(request: pytest.FixtureRequest) -> tuple[str, bytes, float]:
    make, levels = FORMATS[request.param]
    return request.param, make(), levels


def _written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_every_format_gives_the_pixels_that_went_in(tmp_path: Path, coded: tuple[str, bytes, float]) -> None:
    name, data, levels = coded
    pixels = read_picture(_written(tmp_path, f"picture.{name}", data))
    assert pixels.shape == BGR.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - BGR).mean() <= levels


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.mp4", "picture.txt"])
def test_the_name_does_not_matter(tmp_path: Path, coded: tuple[str, bytes, float], name: str) -> None:
    path = _written(tmp_path, name, coded[1])
    assert not is_video(str(path))
    assert np.abs(read_picture(path).astype(int) - BGR).mean() <= coded[2]


def test_what_is_cut_off_is_refused(tmp_path: Path, coded: tuple[str, bytes, float]) -> None:
    for share in (0.02, 0.3, 0.6):
        path = _written(tmp_path, "cut", coded[1][: int(share * len(coded[1]))])
        if coded[0] in ("animated.webp", "apng", "hidden.png", "gif", "sequence.avif", "mpo") and share > 0.5:
            continue  # the first frame may be whole
        with pytest.raises(InputError, match=r"^[^\n]*/cut: [^\n]*$"):
            read_picture(path)


@pytest.mark.parametrize("levels", [1, 15, 100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("magic", [b"P2", b"P5"])
def test_grey_maps_are_scaled_by_their_largest_value(tmp_path: Path, levels: int, magic: bytes) -> None:
    grey = BGR[..., 1]
    pixels = read_picture(_written(tmp_path, "map.pgm", _netpbm(magic, levels, grey)))
    expected = np.rint(np.rint(grey / 255 * levels) * 255 / levels)
    assert np.abs(pixels - expected[..., None]).max() <= 1


@pytest.mark.parametrize("plain", [False, True])
def test_bitmaps(tmp_path: Path, plain: bool) -> None:
    is_light = BGR[..., 1] > 128
    body = np.packbits(~is_light, axis=1).tobytes()
    if plain:
        body = b" ".join(b"%d" % (not bit) for bit in is_light.ravel())
    data = b"P%d 128 96\n" % (1 if plain else 4) + body
    np.testing.assert_array_equal(read_picture(_written(tmp_path, "map.pbm", data))[..., 0], is_light * 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_pictures_are_turned_upright(tmp_path: Path, form: str, orientation: int) -> None:
    turned = Image.Exif()
    turned[0x0112] = orientation
    options: dict[str, Any] = {"quality": 100} if form in ("JPEG", "AVIF") else {"lossless": True}
    data = _coded(form, exif=turned, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    pixels = read_picture(_written(tmp_path, "turned", data))
    assert pixels.shape == expected.shape
    assert np.abs(pixels[..., ::-1].astype(int) - expected).mean() < 0.5


def _profile(gamma: float, red: tuple[float, float] = (0.64, 0.33)) -> bytes:
    """An ICC profile version 2 with sRGB's primaries but for red (at D50), and a pure gamma."""
    x, y = red
    colours = {b"rXYZ": (x / y * 0.2225, 0.2225, (1 - x - y) / y * 0.2225), b"gXYZ": (0.3851, 0.7169, 0.0971)}
    colours |= {b"bXYZ": (0.1431, 0.0606, 0.7141), b"wtpt": (0.9642, 1.0, 0.8249)}
    number = lambda value: round(value * 65536).to_bytes(4, "big", signed=True)  # noqa: E731
    tags = {name: b"XYZ \0\0\0\0" + b"".join(map(number, xyz)) for name, xyz in colours.items()}
    curve = b"curv\0\0\0\0\0\0\0\x01" + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc\0\0\0\0\0\0\0\x05test\0" + bytes(79)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    table, body, place = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + (place + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data + bytes(-len(data) % 4)
    head = bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head = (head + b"".join(map(number, (0.9642, 1, 0.8249)))).ljust(124, b"\0")
    whole = head + table + body
    return (len(whole) + 4).to_bytes(4, "big") + whole


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_colours_of_a_profile_become_srgb(tmp_path: Path, form: str) -> None:
    icc = _profile(1.0)
    linear = Image.fromarray(np.rint(_light(BGR[..., ::-1]) * 255).astype(np.uint8))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100}}.get(form, {"lossless": True})
    pixels = read_picture(_written(tmp_path, "tagged", _coded(form, linear, icc_profile=icc, **options)))
    assert np.abs(pixels.astype(int) - BGR).mean() < 5, "eight bits of linear light are coarse in the dark"
    plain = read_picture(_written(tmp_path, "untagged", _coded(form, linear, **options)))
    assert np.abs(plain.astype(int) - BGR).mean() > 20


def test_a_profile_that_means_srgb_changes_nothing(tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read_picture(_written(tmp_path, "a", _coded("PNG", icc_profile=icc))), BGR)


@pytest.mark.parametrize(
    "icc", [b"", b"no profile", _profile(2.2)[:200], _profile(2.2).replace(b"RGB XYZ", b"CMYKXYZ")]
)
def test_a_profile_that_cannot_be_used_changes_nothing(tmp_path: Path, icc: bytes) -> None:
    np.testing.assert_array_equal(read_picture(_written(tmp_path, "a", _coded("PNG", icc_profile=icc))), BGR)


def test_transparency_is_refused_where_it_hides_and_dropped_where_not(tmp_path: Path) -> None:
    alpha = Image.new("L", PICTURE.size, 255)
    for form in ("PNG", "WEBP", "TIFF", "AVIF"):
        shown = PICTURE.copy()
        shown.putalpha(alpha)
        options = {"quality": 100} if form == "AVIF" else {"lossless": True}
        assert (
            np.abs(read_picture(_written(tmp_path, "a", _coded(form, shown, **options))).astype(int) - BGR).mean() < 1.5
        )
        shown.putpixel((5, 5), (0, 0, 0, 0))
        with pytest.raises(InputError, match="transparent pixels, flatten it"):
            read_picture(_written(tmp_path, "a", _coded(form, shown, **options)))
    palette = PICTURE.convert("P")
    palette.putpixel((3, 3), 7)
    with pytest.raises(InputError, match="transparent pixels"):
        read_picture(_written(tmp_path, "a", _coded("GIF", palette, transparency=7)))


def test_a_camera_file_is_not_its_preview(tmp_path: Path) -> None:
    for tag, value in ((50706, b"\1\4\0\0"), (254, 1)):
        data = _coded("TIFF", tiffinfo={tag: value})
        with pytest.raises(InputError, match="a camera's raw file, develop it first"):
            read_picture(_written(tmp_path, "raw.tif", data))


def test_heic_is_read_or_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = _written(tmp_path, "damaged.heic", b"\0\0\0\x18ftypheic" + b"\0" * 64)
    with pytest.raises(InputError, match=r"damaged.heic: "):
        read_picture(damaged)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    advice = r"damaged.heic: HEIC needs the package 'pillow-heif', install it with: pip install '.\[heic\]'"
    with pytest.raises(InputError, match=advice):
        read_picture(damaged)
    monkeypatch.undo()
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(PICTURE).save(file, quality=95)
    assert np.abs(read_picture(_written(tmp_path, "whole.heic", file.getvalue())).astype(int) - BGR).mean() < 3


def _large(form: str) -> bytes:
    """A small file that says that it has 900 megapixels."""
    if form == "pgm":
        return b"P5 30000 30000 255\n" + bytes(1000)
    if form == "hdr":
        return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + bytes(1000)
    data = bytearray(_coded(form))
    places = {"PNG": [(16, 4, "big"), (20, 4, "big")], "BMP": [(18, 4, "little"), (22, 4, "little")]}
    places["GIF"] = [(6, 2, "little"), (8, 2, "little")]
    start = data.find(b"\xff\xc0") + 5
    places["JPEG"] = [(start, 2, "big"), (start + 2, 2, "big")]
    for place, length, order in places[form]:
        data[place : place + length] = (30000).to_bytes(length, order)  # type: ignore[arg-type]
    if form == "PNG":
        import zlib

        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "pgm", "hdr"])
def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path, form: str) -> None:
    path = _written(tmp_path, "large", _large(form))
    words = "/large: 30000x30000 is 900 megapixels, more than the 200 that --max-megapixels allows"
    with pytest.raises(InputError, match=words):
        read_picture(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_a_bomb_costs_no_memory(tmp_path: Path, model_path: Path) -> None:
    Image.new("L", (30000, 10000), 128).save(tmp_path / "bomb.png")
    run = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:]).returncode\n"
        "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    command = [sys.executable, "-c", run, sys.executable, "-m", "dpiqa", "score", "--model", model_path]
    ended = subprocess.run([*command, tmp_path / "bomb.png"], capture_output=True, text=True)
    status, peak_mb = map(int, ended.stdout.split())
    assert status == 2
    assert "bomb.png: 30000x10000 is 300 megapixels" in ended.stderr
    assert peak_mb < 300


def test_the_limit_is_the_users(dpiqa: Command, model_path: Path, tmp_path: Path) -> None:
    path = _written(tmp_path, "picture.png", _coded("PNG"))
    command = ("score", path, "--model", model_path, "--max-megapixels")
    assert dpiqa(*command, 0.02).status == 0
    ended = dpiqa(*command, 0.01)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "more than the 0.01 that --max-megapixels allows" in ended.err
    assert "must be above 0" in dpiqa(*command, 0).err
    with pytest.raises(InputError, match="megapixels"):
        Scorer(model_path, max_megapixels=0.01).score(path)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_panorama_is_scored_alike_by_every_engine(model_path: Path, tmp_path: Path, engine: str) -> None:
    wide = np.asarray(cv2.resize(BGR, (17000, 170), interpolation=cv2.INTER_LINEAR), np.uint8)
    expected = open_engine(model_path, "onnxruntime").score(wide).prediction.score
    path = _written(tmp_path, "panorama.jpg", _by_opencv(".jpg", wide))
    assert Scorer(model_path, engine).score(path).score == pytest.approx(expected, abs=0.5)
    assert Scorer(model_path, engine).score(wide).score == pytest.approx(expected, abs=0.1)
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    assert Scorer(model_path, engine).score(tall).score == pytest.approx(expected, abs=0.5)


def test_an_error_of_the_core_names_the_file(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(model_path)

    def refuse(pixels: np.ndarray) -> None:
        raise InputError("frame: cannot be scored")

    monkeypatch.setattr(scorer.engine, "score", refuse)
    with pytest.raises(InputError, match=r"/picture.png: frame: cannot be scored"):
        scorer.score(_written(tmp_path, "picture.png", _coded("PNG")))


def test_a_mixed_folder_is_scored_whole_and_says_what_it_left(dpiqa: Command, model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a.png", "b.avif", "c.gif", "d.jfif", "e.mpo"):
        _written(folder, name, FORMATS[name[2:]][0]())
    _written(folder, "f.heic", b"\0\0\0\x18ftypheic" + b"\0" * 64)
    for name in ("1.dng", "2.dng", "notes.txt", ".hidden.txt", "README"):
        _written(folder, name, b"x")
    ended = dpiqa("score", folder, "--model", model_path, "--format", "csv")
    assert ended.status == 1
    scores = {Path(line.split(",")[0]).name: float(line.split(",")[3]) for line in ended.out.splitlines()[1:]}
    assert sorted(scores) == ["a.png", "b.avif", "c.gif", "d.jfif", "e.mpo"]
    assert max(scores.values()) - min(scores.values()) < 2
    failure, summary = ended.err.splitlines()
    assert "f.heic: " in failure
    assert summary == f"dpiqa: {folder}: passed over 4 files: .dng 2, without suffix 1, .txt 1" or summary.endswith(
        ".dng 2, .txt 1, without suffix 1"
    )


def test_every_suffix_that_is_read_is_found_in_folders(tmp_path: Path, dpiqa: Command, model_path: Path) -> None:
    for suffix in PICTURE_SUFFIXES:
        _written(tmp_path, f"a{suffix.upper()}", _coded("PNG"))
    ended = dpiqa("score", tmp_path, "--model", model_path, "--format", "json")
    assert (ended.status, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == len(PICTURE_SUFFIXES)


def test_a_folder_beyond_the_systems_limit_is_named(dpiqa: Command, model_path: Path, tmp_path: Path) -> None:
    good = _written(tmp_path, "good.png", _coded("PNG"))
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    ended = dpiqa("score", tmp_path, "--model", model_path)
    assert ended.status == 1
    assert str(good) in ended.out
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"dpiqa: {tmp_path}/ddd")
    assert ended.err.endswith("d: file name too long\n")
    with pytest.raises(InputError, match="file name too long"):
        list(Scorer(model_path).score_many([tmp_path]))


def test_a_folder_that_cannot_be_read_is_a_failure(
    dpiqa: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _written(tmp_path, "good.png", _coded("PNG"))
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    ended = dpiqa("score", tmp_path, "--model", model_path)
    assert (ended.status, ended.err) == (1, f"dpiqa: {tmp_path / 'locked'}: permission denied\n")
    ended = dpiqa("score", tmp_path / "locked", "--model", model_path)
    assert (ended.status, ended.err) == (2, f"dpiqa: {tmp_path / 'locked'}: permission denied\n")
