"""Draws the picture of the packages as SVG: the positions of boxes, the paths of arrows, and their style.

The boxes are in rows, with the plan side on the left and the node side on the right. An arrow between neighbouring rows
is straight. Every other arrow runs through a lane beside the boxes; all arrows to the same box share a lane and a
colour. What does not belong here: the list of boxes and arrows (``architecture``).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

WIDTH = 1240
MARGIN = 84  # left and right of all boxes: the outer lanes
MIDDLE = 72  # between the sides: the inner lanes
COLUMN = (WIDTH - 2 * MARGIN - MIDDLE) // 2
BETWEEN = 16  # between boxes in a row
GAP = 26  # between rows, without the lines that turn there
STEP = 11  # between parallel lines
HEAD = 84  # above the first row
LINE = 15  # height of a line of small text
SMALL = 6.2  # width of a character of small text, about
MONO = 6.75
PAD = 14
WORDY = 80  # characters
DOOR = ("#52606d", "#eceff3")  # border and arrows, inside
COLORS = (
    ("#8a5a00", "#fdf3d8"), ("#a23b72", "#fbe6f1"), ("#6b4fa0", "#ece6f7"),
    ("#0b7285", "#dcf3f7"), ("#2f6fb0", "#dbeafe"), ("#2b8a3e", "#dff3e3"), ("#b5451b", "#fde5da"),
    ("#5c5f00", "#f3f5d0"), ("#364fc7", "#e3e8fd"), ("#87431d", "#f4e4d6"), ("#1d6f5c", "#d8f2ea"),
)  # fmt: skip
LEGEND = "An arrow goes from a package to a package that it imports, and has the colour of the imported one."
STYLE = """\
      .title { font-weight: bold; font-size: 15px }
      .small { font-size: 11px; fill: #323f4b }
      .mono  { font-family: "DejaVu Sans Mono", monospace; font-size: 11px; fill: #1f2933 }
      .side  { font-weight: bold; font-size: 14px; fill: #323f4b }
      .arrow { fill: none; stroke-width: 1.7; stroke-linejoin: round }
      .mid   { text-anchor: middle }"""


@dataclass(eq=False)
class Box:
    """A box. ``side`` is plan, node or both; ``parts`` are (folder inside, what it holds)."""

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


@dataclass(frozen=True)
class Turn:
    """An arrow through a lane. ``gutter`` is left, middle or right."""

    source: Box
    target: Box
    gutter: str


def draw(rows: list[list[Box]], arrows: set[tuple[str, str]]) -> str:
    """The SVG of ``rows`` of boxes and of ``arrows`` (name, name) between them."""
    boxes = {box.name: box for row in rows for box in row}
    for number, box in enumerate(box for row in rows[1:] for box in row):
        box.color = COLORS[number % len(COLORS)]
    for number, row in enumerate(rows):
        _set_columns(number, row)
    pairs = [(boxes[source], boxes[target]) for source, target in sorted(arrows)]
    turns = [Turn(*pair, _gutter(*pair)) for pair in pairs if not _is_straight(*pair)]
    height = _set_rows(rows, turns)
    lines = [_straight(source, target) for source, target in pairs if _is_straight(source, target)]
    lines += [line for gutter in ("left", "middle", "right") for line in _through_lanes(turns, gutter)]
    return _document(height, [*lines, *(line for box in boxes.values() for line in _box(box))])


# --- where the boxes are ---------------------------------------------------------------------------------------------


def _set_columns(number: int, row: list[Box]) -> None:
    """Set x and width of the boxes of a row. A box with much text is wider than its neighbours."""
    for side, left in (("plan", MARGIN), ("node", MARGIN + COLUMN + MIDDLE), ("both", MARGIN)):
        members = [box for box in row if box.side == side]
        room = (WIDTH - 2 * MARGIN if side == "both" else COLUMN) - BETWEEN * (len(members) - 1)
        shares = [2.0 if sum(len(text) for _, text in box.parts) > 2 * WORDY else 1.0 for box in members]
        x = float(left)
        for box, share in zip(members, shares, strict=True):
            box.row, box.x, box.width = number, x, room * share / sum(shares)
            box.lines = textwrap.wrap(box.summary, int((box.width - 2 * PAD) / SMALL))
            x = box.right + BETWEEN


def _set_rows(rows: list[list[Box]], turns: list[Turn]) -> float:
    """Set y and height of all boxes; return the height of the picture."""
    y = float(HEAD)
    for row in rows:
        height = max(_height(box) for box in row)
        for box in row:
            box.y, box.height = y, height
        y += height + GAP + STEP * len(_channels(row[0].row, turns))
    return rows[-1][0].bottom + GAP + 2 * LINE


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
    if source.row == target.row:
        return True
    return target.row == source.row + 1 and _overlap(source, target) > 4 * STEP


def _overlap(first: Box, second: Box) -> float:
    return min(first.right, second.right) - max(first.x, second.x)


def _gutter(source: Box, target: Box) -> str:
    """An arrow stays on its own side; one from side to side runs in the middle."""
    if target.side in ("both", source.side):
        return "left" if source.side == "plan" else "right"
    return "middle"


def _channels(row: int, turns: list[Turn]) -> list[tuple[str, str]]:
    """(gutter, target) of the horizontal lines below a row, from the top. The farther a target is, the higher is its
    line and the more outward its lane: so lines that turn together do not cross."""
    found = {(turn.gutter, turn.target.name): -turn.target.row for turn in turns if turn.source.row == row}
    return sorted(found, key=lambda one: (found[one], one))


def _lanes(turns: list[Turn]) -> list[str]:
    """The targets of the lanes of one gutter; the first lane is next to the boxes."""
    found = {turn.target.name: turn.target.row for turn in turns}
    return sorted(found, key=lambda name: (found[name], name))


def _straight(source: Box, target: Box) -> str:
    """An arrow to the neighbour in the row, or to a box of the next row."""
    color = target.color[0]
    if source.row == target.row:
        y = source.y + source.height / 2
        if source.x < target.x:
            return _arrow(color, [(source.right, y), (target.x, y)], "right")
        return _arrow(color, [(source.x, y), (target.right, y)], "left")
    x = (max(source.x, target.x) + min(source.right, target.right)) / 2
    return _arrow(color, [(x, source.bottom), (x, target.y)], "down")


def _through_lanes(turns: list[Turn], gutter: str) -> list[str]:
    """The arrows of one gutter: down from the source, along a channel, down a lane, and into the target's side."""
    mine = [turn for turn in turns if turn.gutter == gutter]
    lanes, slots, found = _lanes(mine), _slots(mine), []
    for turn in mine:
        target, way = turn.target, "right" if gutter == "left" else "left"
        drop, lane = slots[turn], _lane_x(gutter, lanes.index(target.name))
        level = turn.source.bottom + GAP / 2 + STEP * _channels(turn.source.row, turns).index((gutter, target.name))
        edge, end = target.x if way == "right" else target.right, target.y + PAD + 5
        corners = [(drop, turn.source.bottom), (drop, level), (lane, level), (lane, end)]
        found.append(_arrow(target.color[0], [*corners, (edge, end)], way))
    return found


def _lane_x(gutter: str, index: int) -> float:
    distance = 20 + index * STEP
    if gutter == "left":
        return MARGIN - distance
    if gutter == "right":
        return WIDTH - MARGIN + distance
    return MARGIN + COLUMN + MIDDLE - distance


def _slots(turns: list[Turn]) -> dict[Turn, float]:
    """The x where each arrow leaves its source: the farther the target, the nearer to the gutter."""
    found = {}
    for turn in turns:
        together = [other.target for other in turns if other.source is turn.source]
        order = sorted(together, key=lambda box: (-box.row, box.name))
        away = 22 + STEP * order.index(turn.target)
        found[turn] = turn.source.right - away if turn.gutter == "right" else turn.source.x + away
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
    left, right = MARGIN + COLUMN / 2, WIDTH - MARGIN - COLUMN / 2
    head = [
        _text("side mid", left, 34, "Plan side: runs where Ansible runs"),
        _text("small mid", left, 54, "From the inventory to one document for each node. plan/ and wiring/ are pure."),
        _text("side mid", right, 34, "Node side: runs on each node"),
        _text("small mid", right, 54, "From the document to the node. Standard library and python3-libvirt only."),
        _text("small mid", WIDTH / 2, height - GAP, LEGEND),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"',
            f'     width="{WIDTH}" height="{height:g}"',
            '     font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="#1f2933">',
            "  <!-- Made by scripts/architecture; do not edit. -->",
            "  <title>The packages of headworks and their imports</title>",
            "  <defs>\n    <style>",
            STYLE,
            "    </style>\n  </defs>",
            f'  <rect width="{WIDTH}" height="{height:g}" rx="8" fill="#f7f8fa"/>',
            *(f"  {line}" for line in [*head, *lines]),
            "</svg>",
            "",
        ]
    )
