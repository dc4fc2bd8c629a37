"""Draws docs/architecture.svg, the four floors and the way of a frame: python docs/pictures/make_architecture.py"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

OUT = Path(__file__).parents[1] / "architecture.svg"
WIDTH, HEIGHT, LEFT, ROW, GAP, NAME = 860, 470, 30, 84, 18, 130
ENGINES = "OpenVINO | TensorRT | ExecuTorch"
FLOORS = [
    ("export/", "#8a5cb8", ("ONNX with contract", "INT8 and the gate", "TensorRT, ExecuTorch", "cards")),
    ("train/", "#2b7a9b", ("data sets", "teacher", "student", "causes and map")),
    ("runtime/", "#2f8f5b", ("pictures, video", "Scorer, dpiqa score", "monitor: alarms, sinks", "dashboard, report")),
    ("cpp_bindings/", "#b8742b", ("C API: a frame", "resize and colours", ENGINES, "a reading")),
]
LABEL = "Four floors, each on the one below; a frame enters the core, is resized, inferred, and leaves as a reading"
HEAD = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'


def text(x: float, y: float, words: str, size: int, fill: str = "#222", anchor: str = "middle") -> str:
    """A line of words."""
    style = f'font-family="system-ui, sans-serif" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str, fill: str) -> str:
    """A rectangle with round corners."""
    size = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"'
    return f'<rect {size} fill="{fill}" stroke="{colour}"/>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line with a head at its end."""
    ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
    return f'<line {ends} stroke="#555" stroke-width="1.5" marker-end="url(#head)"/>'


def floor(y: float, name: str, colour: str, rooms: tuple[str, ...]) -> list[str]:
    """One floor: its name and its rooms; in all but the runtime, one leads to the next."""
    parts = [box(LEFT, y, WIDTH - 2 * LEFT, ROW, colour, f"{colour}1f")]
    parts.append(text(LEFT + 14, y + ROW / 2 + 5, name, 16, colour, "start"))
    step = (WIDTH - 2 * LEFT - NAME) / len(rooms)
    for column, room in enumerate(rooms):
        x, lines = LEFT + NAME + column * step, room.split(" | ")
        parts.append(box(x, y + 18, step - 16, ROW - 36, colour, "#fff"))
        for number, line in enumerate(lines):
            offset = (number - (len(lines) - 1) / 2) * 14
            parts.append(text(x + step / 2 - 8, y + ROW / 2 + 4 + offset, line, 12))
        if column and name != "runtime/":
            parts.append(arrow(x - 15, y + ROW / 2, x - 2, y + ROW / 2))
    return parts


def picture() -> str:
    """The whole drawing."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{LABEL}">']
    parts.append(f'<defs>{HEAD}<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>')
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>')
    for row, (name, colour, rooms) in enumerate(FLOORS):
        y = 24 + row * (ROW + GAP)
        parts += floor(y, name, colour, rooms)
        if row < len(FLOORS) - 1:
            parts.append(arrow(LEFT + 60, y + ROW + 1, LEFT + 60, y + ROW + GAP - 2))
    words = "A floor imports only what is below it. The model file's contract binds them all."
    return "\n".join([*parts, text(WIDTH / 2, HEIGHT - 22, words, 13), "</svg>"]) + "\n"


if __name__ == "__main__":
    OUT.write_text(picture())
