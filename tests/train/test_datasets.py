"""Every loader reads the layout that its authors publish, and says what is wrong with one that is not whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from dpiqa.errors import InputError
from dpiqa.train.data.datasets import LOADERS, check_pictures, load, parse_source
from dpiqa.train.data.terms import TERMS


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 40, 3), 90, np.uint8))


def _biq2021(root: Path) -> None:
    # "ss02 (1014)" is spelled .JPG on disk and .jpg in the list; 1 and 2 of ss01 are no near-duplicates.
    for name in ("ss01 (1).jpg", "ss02 (1014).JPG", "ss03 (2).jpg"):
        _picture(root / "Images" / name)
    (root / "Train (Images and MOS).csv").write_text("Image Name,MOS,,\nss01 (1).jpg,0.25,,\nss02 (1014).jpg,0.5,,\n")
    (root / "Test (Images and MOS).csv").write_text("Image Name,MOS\nss03 (2).jpg,0.75\n")


def _clive(root: Path) -> None:
    names = [f"t{n}.bmp" for n in range(1, 8)] + ["3.bmp", "4.JPG", "5.bmp"]
    for name in names[7:]:
        _picture(root / "Images" / name)
    (root / "Data").mkdir()
    cells = np.array([[name] for name in names], dtype=object)
    savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([[0.0] * 7 + [25.0, 50.0, 75.0]])})
    savemat(root / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": np.array([[10.0] * 10])})


def _koniq10k(root: Path) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        _picture(root / "1024x768" / name)
    header = '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"'
    rows = [f'"{n}.jpg",0,0,25,73,7,105,{mos},0.5,80' for n, mos in ((1, 2), (2, 3), (3, 4))]
    (root / "koniq10k_scores_and_distributions.csv").write_text("\n".join([header, *rows]))


def _spaq(root: Path) -> None:
    for name in ("00001.jpg", "00002.jpg", "00003.jpg"):
        _picture(root / "TestImage" / name)
    (root / "Annotations").mkdir()
    table = pd.DataFrame({"Image name": ["00001.jpg", "00002.jpg", "00003.jpg"], "MOS": [25, 50, 75], "Noisiness": 9})
    table.to_excel(root / "Annotations" / "MOS and Image attribute scores.xlsx", index=False)


def _livefb(root: Path) -> None:
    names = ("AVA/1.jpg", "EMOTIC/2.jpg", "VOC2012/3.jpg")
    for name in names:
        _picture(root / "database" / name)
    lines = [f"{name},{mos}" for name, mos in zip(names, (25, 50, 75), strict=True)]
    (root / "labels_image.csv").write_text("\n".join(["name,mos", *lines]))


def _kadid10k(root: Path) -> None:
    lines = ["dist_img,ref_img,dmos,var"]
    for level, dmos in ((1, 2), (2, 3), (3, 4)):
        _picture(root / "images" / f"I01_01_0{level}.png")
        lines.append(f"I01_01_0{level}.png,I01.png,{dmos},0.5")
    (root / "dmos.csv").write_text("\n".join(lines))


def _tid2013(root: Path) -> None:
    for level in (1, 2, 3):
        _picture(root / "distorted_images" / f"I01_01_{level}.bmp")
    (root / "mos_with_names.txt").write_text("2.25000 I01_01_1.bmp\n4.50000 i01_01_2.bmp\n6.75000 I01_01_3.bmp\n")


def _csv(root: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        _picture(root / name)
    (root / "scores.csv").write_text(
        "image,mos,std,split,group,collection\na.png,25,4,train,x,old\nb.png,50,,val,x,old\nc.png,75,2,test,,\n"
    )


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "biq2021": _biq2021,
    "clive": _clive,
    "koniq10k": _koniq10k,
    "spaq": _spaq,
    "livefb": _livefb,
    "kadid10k": _kadid10k,
    "tid2013": _tid2013,
    "csv": _csv,
}


@pytest.fixture(params=sorted(LOADERS))
def laid_out(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    LAYOUTS[request.param](tmp_path)
    return request.param, tmp_path / "scores.csv" if request.param == "csv" else tmp_path


def test_published_layout_gives_mos_from_0_to_100(laid_out: tuple[str, Path]) -> None:
    name, root = laid_out
    samples = load(name, root)
    assert [sample.mos for sample in samples] == pytest.approx([25, 50, 75])
    assert all(sample.path.is_file() for sample in samples)
    assert name in TERMS


@pytest.mark.parametrize(("name", "apart"), [("biq2021", 3), ("livefb", 3), ("csv", 2), ("clive", 1), ("kadid10k", 1)])
def test_pictures_know_which_collection_they_come_from(name: str, apart: int, tmp_path: Path) -> None:
    places = [tmp_path / "here", tmp_path / "there"]
    for place in places:
        place.mkdir()
        LAYOUTS[name](place)
    roots = [place / "scores.csv" if name == "csv" else place for place in places]
    collections = [{sample.collection for sample in load(name, root)} for root in roots]
    assert [len(names) for names in collections] == [apart, apart]
    assert not collections[0] & collections[1]  # two data sets never share one


def test_absent_pictures_are_counted_and_named(laid_out: tuple[str, Path]) -> None:
    name, root = laid_out
    gone = load(name, root)[1].path
    gone.unlink()
    with pytest.raises(InputError, match="1 of 3 pictures are absent") as caught:
        load(name, root)
    assert gone.name.lower() in str(caught.value).lower()


def test_broken_pictures_are_counted_and_named_before_training(laid_out: tuple[str, Path]) -> None:
    name, root = laid_out
    samples = load(name, root)
    check_pictures(name, samples)
    samples[2].path.write_bytes(samples[2].path.read_bytes()[:100])
    with pytest.raises(
        InputError, match=r"1 of 3 pictures are broken: .*" + samples[2].path.stem.replace("(", r"\(")[:4]
    ):
        check_pictures(name, samples)


def test_another_layout_is_refused_in_one_line(laid_out: tuple[str, Path], tmp_path: Path) -> None:
    name, _ = laid_out
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError) as caught:
        load(name, empty / "scores.csv" if name == "csv" else empty)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_official_parts_groups_and_subsets(tmp_path: Path) -> None:
    _biq2021(tmp_path)
    samples = load("biq2021", tmp_path)
    assert [sample.official for sample in samples] == ["train", "train", "test"]
    assert [sample.subset for sample in samples] == ["ss01", "ss02", "ss03"]


def test_distorted_versions_of_a_reference_share_a_group(tmp_path: Path) -> None:
    _tid2013(tmp_path)
    assert {sample.group for sample in load("tid2013", tmp_path)} == {"i01"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("image,mos\na.png,nan\n", "line 2: mos is nan"),
        ("image,mos\na.png,101\n", "line 2: mos is 101"),
        ("image,mos\na.png,good\n", "line 2: mos and std must be numbers"),
        ("image,mos,split\na.png,5,holdout\n", "line 2: split is 'holdout'"),
        ("picture,mos\na.png,5\n", "column 'image' is missing"),
        ("image,mos\nnowhere.png,5\n", r"1 of 1 pictures are absent: .*nowhere\.png"),
        ("image,mos\n", "no rated pictures"),
        ("", "column 'image' is missing"),
        ("\ufeffimage,mos\na.png,101\n", "line 2: mos is 101"),
    ],
)
def test_bad_table(tmp_path: Path, rows: str, message: str) -> None:
    _picture(tmp_path / "a.png")
    table = tmp_path / "scores.csv"
    table.write_text(rows, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load("csv", table)


@pytest.mark.parametrize("text", ["biq2021", "biq2021=", "/some/folder"])
def test_source_must_be_name_and_path(text: str) -> None:
    with pytest.raises(InputError, match="expected NAME=PATH"):
        parse_source(text)


def test_unknown_data_set_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown data set 'ava', known: biq2021, clive"):
        load("ava", tmp_path)


@pytest.mark.parametrize(("row", "message"), [("ss01 (1).jpg,good", "cannot read the scores"), (",0.5", "are absent")])
def test_bad_row_of_a_published_table(tmp_path: Path, row: str, message: str) -> None:
    _biq2021(tmp_path)
    (tmp_path / "Train (Images and MOS).csv").write_text(f"Image Name,MOS,,\n{row},,\n")
    with pytest.raises(InputError, match=message):
        load("biq2021", tmp_path)


def test_broken_mat_file(tmp_path: Path) -> None:
    _clive(tmp_path)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(b"")
    with pytest.raises(InputError, match="clive: cannot read the scores"):
        load("clive", tmp_path)
