"""What MkDocs needs to show this repository as a site: pages from outside `docs`, and the files that pages link to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
HEADER = "cpp_bindings/include/dpiqa/dpiqa.h"
_HOME = "README.md"
_FLOORS = ("runtime", "train", "export")
_FOLDER = TemporaryDirectory()
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
_PAGES = (_HOME, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", *(f"models/dpiqa-lite{n}.md" for n in (0, 2)))


@event_priority(100)  # before mkdocstrings reads its paths
def on_config(config: MkDocsConfig) -> None:
    """Show mkdocstrings the package as it is installed, its floors inside: an editable install has them elsewhere."""
    package = Path(_FOLDER.name, "dpiqa")
    package.mkdir(exist_ok=True)
    for part in [*(ROOT / "cpp_bindings" / "python" / "dpiqa").iterdir(), *(ROOT / name for name in _FLOORS)]:
        if not (package / part.name).exists():
            (package / part.name).symlink_to(part)
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_FOLDER.name]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside `docs`, the C header as a page, and every file that one of them links to."""
    for page in _PAGES:
        files.append(File.generated(config, _place(ROOT / page), content=(ROOT / page).read_text()))
    files.append(File.generated(config, "c.md", content=f"# The C API\n\n```c\n{(ROOT / HEADER).read_text()}```\n"))
    for source in [ROOT / page for page in _PAGES] + sorted((ROOT / "docs").glob("*.md")):
        for _, _, link, _ in _LINK.findall(source.read_text()):
            target = (source.parent / link).resolve()
            place = _place(target)
            if target.is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links as they are in the repository into those of the site; a folder's keeps only its words."""
    uri = page.file.src_uri
    source = ROOT / "docs" / uri if (ROOT / "docs" / uri).exists() else ROOT / (_HOME if uri == "index.md" else uri)

    def moved(link: re.Match[str]) -> str:
        target = (source.parent / link[3]).resolve()
        if target.is_dir():
            return link[2]
        place = os.path.relpath(_place(target), Path(uri).parent)
        return f"{link[1]}[{link[2]}]({place}{link[4] or ''})"

    return _LINK.sub(moved, markdown)


def _place(file: Path) -> str:
    """Where a file of the repository lies in the site."""
    path = file.relative_to(ROOT).as_posix()
    if path == _HOME:
        return "index.md"
    inside = path.removeprefix("docs/")
    return inside if inside != path or path in _PAGES else f"repository/{path}"
