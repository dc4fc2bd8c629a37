"""The page of results repeats the CSV files, and the Python example runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path("docs/results.md")


def _fill(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/results.py", "--page", str(page), "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_pages_are_what_the_script_makes_of_the_tables(tmp_path: Path) -> None:
    shutil.copytree("benchmarks", tmp_path / "benchmarks")
    (tmp_path / "docs").mkdir()
    pages = ["README.md", "docs/results.md", "docs/speed.md", "docs/int8.md", "docs/firmware.md"]
    for page in pages:
        shutil.copy(page, tmp_path / page)
    subprocess.run([sys.executable, str(tmp_path / "benchmarks" / "results.py")], check=True)
    for page in pages:
        assert (tmp_path / page).read_text() == Path(page).read_text(), f"{page}: run python benchmarks/results.py"


def test_means_gains_and_medians(tmp_path: Path) -> None:
    run = "lite0,250,32,256,224,abc"
    (tmp_path / "distillation.csv").write_text(
        "condition,seed,student,steps,batch,size,crop,teacher,biq2021_srcc,biq2021_plcc,clive_srcc,clive_plcc,"
        "train_seconds,hardware\n"
        f"labels,0,{run},0.80,0.81,0.60,0.61,300,a CPU\n"
        f"labels+teacher,0,{run},0.82,0.83,0.59,0.60,420,a CPU\n"
        f"labels,1,{run},0.70,0.71,0.50,0.51,300,a CPU\n"
        f"labels+teacher,1,{run},0.76,0.77,0.51,0.52,420,a CPU\n"
        f"teacher itself,0,{run},0.90,0.91,0.70,0.71,,a CPU\n"
    )
    divisions = "".join(f"{n},20,0.{n}0,0.{n}5,a student,abc,--epochs 1,a CPU\n" for n in (1, 3, 5))
    (tmp_path / "protocol_student.csv").write_text(
        f"division,images,srcc,plcc,model,start,options,hardware\n{divisions}"
    )
    short = "120,20,0.4,256,192"
    (tmp_path / "ablation.csv").write_text(
        "lessons,seed,steps,rated,share,size,crop,val_srcc,val_plcc,val_order,train_seconds,hardware,val_cause\n"
        f"labels,0,{short},0.70,0.71,0.9,60,a CPU,\nlabels,1,{short},0.72,0.73,0.8,60,a CPU,\n"
        f"labels+order+causes,0,{short},0.69,0.70,0.99,60,a CPU,0.5\n"
    )
    (tmp_path / "input_size.csv").write_text(
        "pictures,height,width,srcc,plcc,ms,engine,images,model,machine\n16:9,288,512,0.8,0.81,9.25,x,9,m.onnx,a CPU\n"
    )
    setting = "120,256,192,99"
    (tmp_path / "collections_left_out.csv").write_text(
        "compared,left_out,seed,steps,size,crop,images,val_srcc,val_plcc,train_seconds,hardware\n"
        f"all,a,0,{setting},0.70,0.71,60,a CPU\nall,a,1,{setting},0.80,0.81,60,a CPU\n"
        f"all,b,0,{setting},0.50,0.51,60,a CPU\nown,a,0,{setting},0.90,0.91,60,a CPU\n"
    )
    page = Path(shutil.copy(PAGE, tmp_path))
    assert _fill(page, tmp_path).returncode == 0
    text = page.read_text()
    assert "| compared | a left out | b left out |" in text
    assert "| all | 0.750 / 0.760 | 0.500 / 0.510 |" in text
    assert "| own | 0.900 / 0.910 |  |" in text
    assert "| labels | 2 | 0.710 | 0.720 | 85.0% |  |  |" in text
    assert "| labels+order+causes | 1 | 0.690 | 0.700 | 99.0% | 50.0% |  |" in text
    assert "| 16:9 | 288x512 | 0.800 | 0.810 | 9.2 |" in text
    assert "| labels | 2 | 0.750 / 0.760 |  | 0.550 / 0.560 |  |" in text
    assert "| labels+teacher | 2 | 0.790 / 0.800 | +0.040 (+0.020 to +0.060) | 0.550 / 0.560 | +0.000 (-0.010" in text
    assert "| teacher itself |  | 0.900 / 0.910 |  | 0.700 / 0.710 |  |" in text
    assert "6.0 minutes per run on a CPU" in text
    assert "| a student | 3 | 0.300 | 0.100 to 0.500 | 0.350 | 0.150 to 0.550 |" in text
    assert "Not run yet: there is no protocol_teacher.csv." in text


def test_an_unknown_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "distillation.csv").write_text("a,b\n1,2\n")
    page = Path(shutil.copy(PAGE, tmp_path))
    done = _fill(page, tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "unknown table, expected one of the columns flive_srcc, condition, division, lessons, compared, pipeline, "
        "srcc_squashed, peak_mb, wanted, srcc_low, int8_share, height, first_score_ms, map_mean_drift"
    )
    assert page.read_text() == PAGE.read_text()


@pytest.mark.slow
def test_the_python_example_scores_pictures_and_video() -> None:
    command = [sys.executable, "examples/score.py", "docs/explain.jpg", "examples/clip.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, *frames = done.stdout.splitlines()
    assert first.startswith("docs/explain.jpg: ")
    assert len(frames) == 20
    assert all("strongest cause: " in line for line in (first, *frames))
    missing = subprocess.run([*command[:2], "absent.jpg"], capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("absent.jpg: ")
