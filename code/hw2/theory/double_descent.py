"""Question 3: what the three plots show, as data. All values are read off the figures by eye and are approximate.

Source: Nakkiran, Kaplun, Bansal, Yang, Barak, Sutskever, "Deep Double Descent: Where Bigger Models and More Data Hurt"
(arXiv 1912.02292).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """One test curve as (x, y) at its first minimum, at its peak and at its right end.

    `interpolation` is the x at which the train curve becomes flat near its smallest value, where the plot shows it.
    """

    plot: str
    name: str
    x: str
    minimum: tuple[float, float] | None
    peak: tuple[float, float] | None
    end: tuple[float, float]
    interpolation: float | None = None


CURVES = (
    Curve("a", "De-En, 160K sentences", "embedding dimension", (75, 3.75), (205, 5.4), (512, 4.1), 210),
    Curve("a", "En-Fr, 200K sentences", "embedding dimension", (110, 4.1), (295, 5.2), (495, 4.75), 300),
    Curve("b", "0 % label noise", "width", (7, 0.45), (9, 0.47), (64, 0.30), 13),
    Curve("b", "10 % label noise", "width", (5, 0.51), (11.5, 0.56), (64, 0.40), 15),
    Curve("b", "20 % label noise", "width", (5, 0.54), (13, 0.64), (64, 0.47), 17),
    Curve("c", "width 3 (small)", "epoch", None, None, (4000, 0.25)),
    Curve("c", "width 12 (intermediate)", "epoch", (80, 0.23), (1000, 0.36), (4000, 0.35)),
    Curve("c", "width 64 (large)", "epoch", (20, 0.17), (65, 0.30), (4000, 0.20)),
)


def curves(plot: str) -> dict[str, Curve]:
    """The curves of one plot, by name."""
    return {curve.name: curve for curve in CURVES if curve.plot == plot}


def table(plot: str) -> str:
    """Markdown table of the readings of one plot, each as "value at x"."""
    found = curves(plot).values()
    with_train = any(curve.interpolation for curve in found)
    rows = [["Curve", "First minimum", "Peak", "Right end", *(["Train curve flat from"] if with_train else [])]]
    rows.append(["---"] * len(rows[0]))
    for curve in found:
        train = [f"{curve.interpolation:g}"] if with_train else []
        rows.append([curve.name, _point(curve.minimum), _point(curve.peak), _point(curve.end), *train])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _point(point: tuple[float, float] | None) -> str:
    return "none" if point is None else f"{point[1]:g} at {point[0]:g}"
