"""README and documentation: links lead somewhere, figures are the measured ones, README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from dpiqa.train.model_files import load_model, read_contract

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for pattern in ("*.md", "docs/*.md", "models/*.md", "examples/**/*.md") for page in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = (page.parent / link.partition("#")[0] for link in _LINK.findall(page.read_text()))
        pages = {link.resolve() for link in links if link.suffix == ".md" and link.exists()}
        waiting += pages - reached - set(waiting)
    assert set((ROOT / "docs").glob("*.md")) <= reached


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", ["README.md", "docs/accuracy.md"])
def test_figures_of_others_are_the_published_ones(page: str) -> None:
    published = pd.read_csv(ROOT / "benchmarks" / "published.csv")
    assert published["source"].str.startswith("https://").all()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in (ROOT / page).read_text().splitlines()}
    listed = [row for row in published.to_dict("records") if row["method"] in rows]
    assert len({row["method"] for row in listed}) >= 3
    for row in listed:
        assert f"{row['srcc']:.3f} / {row['plcc']:.3f}" in rows[row["method"]]


@pytest.mark.parametrize("page", ["README.md", "docs/accuracy.md"])
def test_figures_of_ours_are_those_of_the_files(page: str) -> None:
    rows = re.findall(r"^\| \*\*(dpiqa-[\w-]+)\*\*, (FP32|INT8),(.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert rows
    for name, precision, line in rows:
        path = ROOT / "models" / f"{name}{'-int8' if precision == 'INT8' else ''}.onnx"
        for entry in read_contract(load_model(path), path).evaluated_on:
            assert f"{entry.srcc:.3f} / {entry.plcc:.3f}" in line
        assert f"{path.stat().st_size / 1e6:.1f} MB" in line
