"""Small charts as SVG text that takes its colours from the page, so that they follow light and dark.

Series differ by CSS classes ``s0``, ``s1``, ... which the page's style sheet colours; nothing is loaded and no
script runs. Every chart carries a text alternative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 22, 12, 44
_LINE, _LETTER = 14, 7  # the space of a line and of a letter


@dataclass(frozen=True)
class Line:
    """One curve: its points in order, and whether it is drawn dashed. Points that are not finite are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """An SVG drawing and its legend, as (CSS class, name) pairs; the legend is empty for a single series."""

    svg: Markup
    legend: list[tuple[str, str]] = field(default_factory=list)


def percent(value: float) -> str:
    """0.25 as "25%"."""
    return f"{100 * value:.10g}%"


def plain(value: float) -> str:
    """A number as short as it goes."""
    return f"{value:.6g}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, that enclose the range; at most ``most`` (3 or more)."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        first, last = math.floor(low / (step * factor) + 1e-9), math.ceil(high / (step * factor) - 1e-9)
        if last - first < most:
            break
    return [float(f"{k * step * factor:.12g}") for k in range(first, last + 1)]


class _Axes:
    """Maps numbers to the drawing and draws the frame around them."""

    def __init__(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_range: tuple[float, float]) -> None:
        self.x_ticks, self.y_ticks = x_ticks, y_ticks
        self.x_low, self.x_high = x_range
        self.y_low, self.y_high = y_ticks[0], y_ticks[-1]

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_label: str, y_label: str, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> str:
        base = HEIGHT - BOTTOM
        parts = []
        free = math.inf  # labels that would overlap are left out
        for value in self.y_ticks:
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if y <= free:
                parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(y_text(value))}</text>')
                free = y - _LINE
        free = -math.inf
        for value in self.x_ticks:
            if self.x_low <= value <= self.x_high:
                x, text = self.x(value), x_text(value)
                parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>')
                if x - _LETTER * len(text) / 2 >= free:
                    parts.append(f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{escape(text)}</text>')
                    free = x + _LETTER * (len(text) / 2 + 1)
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            f'<text class="label" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
        )
        middle = (TOP + base) / 2
        parts.append(
            f'<text x="12" y="{middle:.0f}" text-anchor="middle" '
            f'transform="rotate(-90 12 {middle:.0f})">{escape(y_label)}</text>'
        )
        return "".join(parts)


def _svg(alt: str, body: str) -> Markup:
    text = escape(alt)
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text}"><title>{text}</title>{body}</svg>'
    )


def lines(
    series: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
    x_text: Callable[[float], str] = plain,
    y_text: Callable[[float], str] = plain,
) -> Chart:
    """Curves over a common axis; a curve of one point is drawn as a dot.

    Args:
        series: at least one, with at least one finite point in all.
        x_label, y_label: what the axes mean, with units.
        alt: what the picture shows, in words.
        x_ticks: where to mark the x axis, if round numbers will not do.
        y_ticks: where to mark the y axis, from end to end, if round numbers will not do.
        x_text, y_text: how to write a number on either axis.
    """
    points = [
        [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
        for line in series
    ]
    xs, ys = [x for part in points for x, _ in part], [y for part in points for _, y in part]
    low, high = min(xs), max(xs)
    axes = _Axes(
        x_ticks or ticks(low, high),
        y_ticks or ticks(min(ys), max(ys)),
        (low, high) if high > low else (low - 1, low + 1),
    )
    body = axes.frame(x_label, y_label, x_text, y_text)
    for number, (line, part) in enumerate(zip(series, points, strict=True)):
        dash = " dashed" if line.dashed else ""
        path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in part)
        body += f'<polyline class="line s{number}{dash}" points="{path}"/>'
        if len(part) <= 30:
            radius = 4 if len(part) == 1 else 2.5
            body += "".join(
                f'<circle class="dot s{number}" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="{radius}">'
                f"<title>{escape(line.name)}: {escape(y_text(round(y, 4)))} at {escape(x_text(x))}</title></circle>"
                for x, y in part
            )
    legend = [(f"s{number}", line.name) for number, line in enumerate(series)] if len(series) > 1 else []
    return Chart(_svg(alt, body), legend)


def histogram(
    edges: Sequence[float],
    shares: dict[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    mark: tuple[float, str] | None = None,
    x_text: Callable[[float], str] = plain,
) -> Chart:
    """Overlaid histograms over common bins.

    Args:
        edges: B + 1 ascending bin edges.
        shares: for each series its share in each of the B bins, in [0, 1].
        x_label, y_label: what the axes mean, with units.
        alt: what the picture shows, in words.
        mark: a place on the x axis to mark with a vertical line, and its name.
        x_text: how to write a number on the x axis.
    """
    top = max((share for part in shares.values() for share in part), default=0.0) or 1.0
    axes = _Axes(ticks(edges[0], edges[-1]), ticks(0, top, 5), (edges[0], edges[-1]))
    body = axes.frame(x_label, y_label, x_text, percent)
    for number, part in enumerate(shares.values()):
        steps = [(axes.x(edges[0]), axes.y(0))]
        for left, right, share in zip(edges[:-1], edges[1:], part, strict=True):
            steps += [(axes.x(left), axes.y(share)), (axes.x(right), axes.y(share))]
        steps.append((axes.x(edges[-1]), axes.y(0)))
        body += f'<polygon class="area s{number}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in steps)}"/>'
    if mark and edges[0] <= mark[0] <= edges[-1]:
        x = axes.x(mark[0])
        anchor, shift = ("end", -5) if x > WIDTH / 2 else ("start", 5)
        body += f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        body += f'<text x="{x + shift:.1f}" y="{TOP + 12}" text-anchor="{anchor}">{escape(mark[1])}</text>'
    legend = [(f"s{number}", name) for number, name in enumerate(shares)] if len(shares) > 1 else []
    return Chart(_svg(alt, body), legend)
