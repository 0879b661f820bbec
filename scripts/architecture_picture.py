"""Draws the picture of the packages as SVG: the positions of boxes, the paths of arrows, and their style.

The boxes are in rows, one row for each layer, with the plan side on the left and the node side on the right. Drawn are
the imports of the next layer, and the imports from side to side. An import that goes further down on its own side is
not drawn, because the order of the rows shows that it is allowed. The broad arrows show how the data go. What does not
belong here: the list of boxes and imports (``architecture``).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

WIDTH = 1240
MARGIN = 70  # left and right of all boxes: room for a broad arrow
MIDDLE = 150  # between the sides: room for a broad arrow and for the imports from side to side
COLUMN = (WIDTH - 2 * MARGIN - MIDDLE) // 2
BETWEEN = 16  # between boxes in a row
GAP = 34  # between rows
HEADED = 100  # between rows, above a row with headings
HEAD = 52  # above the first row
STEP = 14  # between parallel lines
LINE = 16  # height of a line of small text
SMALL = 6.75  # width of a character of small text, about
MONO = 7.3
PAD = 14
WORDY = 80  # characters
BROAD = 24  # width of a broad arrow
DOOR = ("#52606d", "#eceff3")  # border and arrows, inside
COLORS = (
    ("#8a5a00", "#fdf3d8"), ("#a23b72", "#fbe6f1"), ("#6b4fa0", "#ece6f7"),
    ("#0b7285", "#dcf3f7"), ("#2f6fb0", "#dbeafe"), ("#2b8a3e", "#dff3e3"), ("#b5451b", "#fde5da"),
    ("#5c5f00", "#f3f5d0"), ("#364fc7", "#e3e8fd"), ("#87431d", "#f4e4d6"), ("#1d6f5c", "#d8f2ea"),
)  # fmt: skip
LEGEND = (
    "A package may import what is below it on its own side, and state/. A thin arrow is an import of the next layer or"
    " from side to side; it has",
    "the colour of the imported package. A broad arrow shows the way of the data."
    " What is in the dashed frame, and state/, restores a node at boot (engine.zip).",
)
STYLE = """\
      .title { font-weight: bold; font-size: 15px }
      .small { font-size: 12px; fill: #323f4b }
      .mono  { font-family: "DejaVu Sans Mono", monospace; font-size: 12px; fill: #1f2933 }
      .side  { font-weight: bold; font-size: 14px; fill: #323f4b }
      .arrow { fill: none; stroke-width: 1.7; stroke-linejoin: round }
      .broad { fill: none; stroke: #c3cedb; stroke-width: 24 }
      .over  { stroke: #f3f5f8; stroke-width: 6px; paint-order: stroke; stroke-linejoin: round }
      .mid   { text-anchor: middle }"""


@dataclass(eq=False)
class Box:
    """A box. ``side`` is plan, node or both; ``parts`` are (file or folder inside, what it holds)."""

    name: str
    side: str
    summary: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    row: int = 0
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0
    lines: list[str] = field(default_factory=list)
    color: tuple[str, str] = DOOR

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.y + self.height

    @property
    def center(self) -> float:
        """The y of the middle."""
        return self.y + self.height / 2


def draw(rows: list[list[Box]], arrows: set[tuple[str, str]]) -> str:
    """The SVG of ``rows`` of boxes and of ``arrows`` (name, name), the imports between them."""
    boxes = {box.name: box for row in rows for box in row}
    for number, box in enumerate(box for row in rows[1:] for box in row):
        box.color = COLORS[number % len(COLORS)]
    for number, row in enumerate(rows):
        _set_columns(number, row)
    height = _set_rows(rows)
    pairs = [(boxes[source], boxes[target]) for source, target in sorted(arrows)]
    across = sorted((pair for pair in pairs if _is_across(*pair)), key=lambda pair: pair[1].row)
    lines = [_straight(source, target) for source, target in pairs if _is_straight(source, target)]
    lines += [_across(source, target, number) for number, (source, target) in enumerate(across)]
    return _document(
        height,
        [
            *_frame(boxes),
            *_data(boxes),
            *lines,
            *_headings(boxes),
            *(line for box in boxes.values() for line in _box(box)),
        ],
    )


# --- where the boxes are ---------------------------------------------------------------------------------------------


def _set_columns(number: int, row: list[Box]) -> None:
    """Set x and width of the boxes of a row. A box with much text is wider than its neighbours."""
    for side, left, right in (
        ("plan", MARGIN, MARGIN + COLUMN),
        # The first row has no side, so its right half may use the room in the middle.
        ("node", MARGIN + COLUMN + (MIDDLE if number else 2 * BETWEEN), WIDTH - MARGIN),
        ("both", MARGIN, WIDTH - MARGIN),
    ):
        members = [box for box in row if box.side == side]
        room = right - left - BETWEEN * (len(members) - 1)
        shares = [2.0 if sum(len(text) for _, text in box.parts) > 2 * WORDY else 1.0 for box in members]
        x = float(left)
        for box, share in zip(members, shares, strict=True):
            box.row, box.x, box.width = number, x, room * share / sum(shares)
            box.lines = textwrap.wrap(box.summary, int((box.width - 2 * PAD) / SMALL))
            x = box.right + BETWEEN


def _set_rows(rows: list[list[Box]]) -> float:
    """Set y and height of all boxes; return the height of the picture."""
    y = float(HEAD)
    for number, row in enumerate(rows):
        height = max(_height(box) for box in row)
        for box in row:
            box.y, box.height = y, height
        y += height + (HEADED if number < 2 else GAP)
    return rows[-1][0].bottom + GAP + LINE * (len(LEGEND) + 1)


def _height(box: Box) -> float:
    return 2 * PAD + 12 + LINE * (len(box.lines) + len(_part_lines(box)))


def _indent(box: Box) -> float:
    """How far right of the names of the parts their texts begin."""
    longest = max((len(name) for name, _ in box.parts), default=0)
    return longest * MONO + 8 if longest else 0


def _part_lines(box: Box) -> list[tuple[str, str]]:
    """The parts, wrapped: (name, text) for each line, with name empty where a text goes on."""
    found = []
    for name, text in box.parts:
        wrapped = textwrap.wrap(text, int((box.width - 2 * PAD - _indent(box)) / SMALL)) or [""]
        found += list(zip([name, *[""] * (len(wrapped) - 1)], wrapped, strict=True))
    return found


# --- how the arrows run ----------------------------------------------------------------------------------------------


def _is_straight(source: Box, target: Box) -> bool:
    """Whether ``target`` is beside ``source`` or in the next row below it."""
    if source.row == target.row:
        return True
    return target.row == source.row + 1 and _overlap(source, target) > 4 * STEP


def _is_across(source: Box, target: Box) -> bool:
    """Whether a package of the node side imports one of the plan side, or the other way round."""
    return source.row > 0 and source.row != target.row and {source.side, target.side} == {"plan", "node"}


def _overlap(first: Box, second: Box) -> float:
    return min(first.right, second.right) - max(first.x, second.x)


def _straight(source: Box, target: Box) -> str:
    """An arrow to the neighbour in the row, or to a box of the next row."""
    color = target.color[0]
    if source.row == target.row:
        if source.x < target.x:
            return _arrow(color, [(source.right, source.center), (target.x, source.center)], "right")
        return _arrow(color, [(source.x, source.center), (target.right, source.center)], "left")
    x = (max(source.x, target.x) + min(source.right, target.right)) / 2
    return _arrow(color, [(x, source.bottom), (x, target.y)], "down")


def _across(source: Box, target: Box, number: int) -> str:
    """An arrow from side to side: down from the source, to a lane in the middle, down, and into the target's edge."""
    plan_side = target.side == "plan"
    drop = source.x + PAD + STEP * number if plan_side else source.right - PAD - STEP * number
    level = source.bottom + STEP * (number + 1)
    lane = MARGIN + COLUMN + (2 * STEP + STEP * number if plan_side else MIDDLE - 2 * STEP - STEP * number)
    edge, end = (target.right if plan_side else target.x), target.y + PAD + 5
    corners = [(drop, source.bottom), (drop, level), (lane, level), (lane, end), (edge, end)]
    return _arrow(target.color[0], corners, "left" if plan_side else "right")


def _data(boxes: dict[str, Box]) -> list[str]:
    """The broad arrows: inventory to document on the left, document in the middle, document to node on the right."""
    model, wiring, engine, system = (boxes[name] for name in ("model", "wiring", "engine", "system"))
    left, right, tip = MARGIN / 2 - 4, WIDTH - MARGIN / 2 + 4, BROAD * 0.75
    up = [(left, model.bottom), (left, wiring.center), (wiring.x - tip, wiring.center)]
    over = [(wiring.right, wiring.center), (engine.x - tip, wiring.center)]
    end = (system.right + tip, system.center)
    down = [(engine.right, engine.center), (right, engine.center), (right, system.center), end]
    middle = (wiring.right + engine.x) / 2 + STEP  # right of the lanes of imports
    return [
        *(f'<path class="broad" d="{_points(line)}"/>' for line in (up, over, down)),
        _tip(wiring.x, wiring.center, -tip),
        _tip(engine.x, wiring.center, -tip),
        _tip(system.right, system.center, tip),
        _upright(left + 4, (wiring.center + model.bottom) / 2, -90, "inventory → models → resolved cloud"),
        _upright(right - 4, (engine.center + system.center) / 2, 90, "records → changes → the node"),
        _text("small mid", middle, wiring.center + 4, "one document"),
        _text("small mid", middle, wiring.center + BROAD + 4, "for each node"),
    ]


def _tip(x: float, y: float, length: float) -> str:
    """The tip of a broad arrow that ends at (x, y)."""
    corners = [(x, y), (x + length, y - BROAD), (x + length, y + BROAD)]
    return f'<path fill="#c3cedb" d="{_points(corners)}Z"/>'


def _upright(x: float, y: float, angle: int, text: str) -> str:
    turned = f"translate({x:g} {y:g}) rotate({angle})"
    return f'<text class="small mid" transform="{turned}">{escape(text, quote=False)}</text>'


def _frame(boxes: dict[str, Box]) -> list[str]:
    """The frame around the packages that restore a node at boot."""
    engine, system = boxes["engine"], boxes["system"]
    top, bottom = engine.y - 3.3 * LINE, system.bottom + 10
    return [
        f'<rect x="{engine.x - 12:g}" y="{top:g}" width="{engine.width + 24:g}" height="{bottom - top:g}" rx="8"'
        ' fill="#eef1f5" stroke="#7b8794" stroke-dasharray="6 4"/>'
    ]


def _headings(boxes: dict[str, Box]) -> list[str]:
    """The headings above the groups of boxes. They are drawn over the arrows."""
    lab = "and headworks_lab/, which only the lab's modules and demonstrations use"
    groups = (
        ("view", "Plan side: runs where Ansible runs", "From the inventory to one document for each node."),
        ("modules", "Runs on nodes when a module is called", "Not restored at boot."),
        ("engine", "Node side: runs on each node", "Standard library and python3-libvirt only."),
    )
    found = [_text("side", MARGIN, HEAD - 16, "Loaded by Ansible"), _text("small", MARGIN + 150, HEAD - 16, lab)]
    for name, title, text in groups:
        x, y = boxes[name].x, boxes[name].y - 34
        found += [_text("side over", x, y, title), _text("small over", x, y + LINE + 2, text)]
    return found


# --- how it looks ----------------------------------------------------------------------------------------------------


def _arrow(color: str, corners: list[tuple[float, float]], way: str) -> str:
    """A line through ``corners`` with a tip at its end; ``way`` is where the tip points: down, left or right."""
    dx, dy = {"down": (0, -1), "right": (-1, 0), "left": (1, 0)}[way]
    *others, (x, y) = corners
    line = [*others, (x + 7 * dx, y + 7 * dy)]
    tip = ((x, y), (x + 9 * dx + 4.5 * dy, y + 9 * dy + 4.5 * dx), (x + 9 * dx - 4.5 * dy, y + 9 * dy - 4.5 * dx))
    return f'<path class="arrow" stroke="{color}" d="{_points(line)}"/><path fill="{color}" d="{_points(tip)}Z"/>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return f"M{' L'.join(f'{x:g} {y:g}' for x, y in points)}"


def _box(box: Box) -> list[str]:
    stroke, fill = box.color
    found = [
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6"'
        f' fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>',
        _text("title", box.x + PAD, box.y + PAD + 9, f"{box.name}/"),
    ]
    y = box.y + PAD + 13
    for line in box.lines:
        y += LINE
        found.append(_text("small", box.x + PAD, y, line))
    for name, text in _part_lines(box):
        y += LINE
        if name:
            found.append(_text("mono", box.x + PAD, y, name))
        found.append(_text("small", box.x + PAD + _indent(box), y, text))
    return found


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(text, quote=False)}</text>'


def _document(height: float, lines: list[str]) -> str:
    first = height - LINE * len(LEGEND)
    legend = [_text("small", MARGIN, first + LINE * number, text) for number, text in enumerate(LEGEND)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"',
            f'     width="{WIDTH}" height="{height:g}"',
            '     font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="#1f2933">',
            "  <!-- Made by scripts/architecture; do not edit. -->",
            "  <title>The packages of headworks, their imports, and the way of the data</title>",
            "  <defs>\n    <style>",
            STYLE,
            "    </style>\n  </defs>",
            f'  <rect width="{WIDTH}" height="{height:g}" rx="8" fill="#f7f8fa"/>',
            *(f"  {line}" for line in [*lines, *legend]),
            "</svg>",
            "",
        ]
    )
