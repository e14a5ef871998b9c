"""`python -m tests.bench.plot`: docs/load.svg, of what `python -m tests.bench throughput` found."""

import io
import sys
from typing import Any

import matplotlib as mpl
import orjson
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.throughput import DATA
from tests.processes import ROOT

PICTURE = ROOT / "docs" / "load.svg"
# A colour that the plot has nowhere else: the page's own is put in its place.
_INK = "#010203"
_STYLE = """<style>
svg {color: #1f2328; background: #fff}
@media (prefers-color-scheme: dark) {svg {color: #e6edf3; background: #0d1117}}
</style>
"""
_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.alpha": 0.4,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "vibe-server",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_BLUE, _ORANGE = "#2f81f7", "#d9730d"


def draw(found: dict[str, Any]) -> str:
    """The picture as SVG, the same for the same figures."""
    rows = found["rows"]
    connections = [row["connections"] for row in rows]
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(8.2, 3.3), layout="constrained")
        rate, latency = figure.subplots(1, 2)
        rate.plot(connections, [row["per_second"] for row in rows], "o-", ms=4, color=_BLUE)
        rate.set(title="Charges per second, one worker", ylim=(0, None))
        for name, colour in (("p50", _BLUE), ("p99", _ORANGE)):
            values = [row[f"{name}_us"] / 1000 for row in rows]
            latency.plot(connections, values, "o-", ms=4, color=colour, label=name)
        latency.set(title="Latency, ms", yscale="log")
        latency.yaxis.set_major_formatter("{x:g}")
        latency.legend()
        for axes in (rate, latency):
            _label_connections(axes, connections)
        source = f"{found['date']}, {found['machine']}. {found['generator']}; {found['redis']}"
        figure.supxlabel(source, fontsize=7)
        return _save(figure)


def _label_connections(axes: Axes, connections: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(connections, [str(count) for count in connections])
    axes.set_xlabel("connections, each sends its next charge when the last one is answered")
    axes.xaxis.label.set_fontsize(7)


def _save(figure: Figure) -> str:
    output = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": "Throughput and latency of charges"}
    figure.savefig(output, format="svg", metadata=metadata)
    head, start, rest = output.getvalue().replace(_INK, "currentColor").partition("<metadata>")
    return f"{head}{_STYLE}{start}{rest}"


def main() -> None:
    if not DATA.exists():
        sys.exit("Measure first: python -m tests.bench throughput")
    PICTURE.write_text(draw(orjson.loads(DATA.read_bytes())))
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
