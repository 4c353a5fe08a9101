"""The results as a table, as JSON and as charts."""

import json
import os
import platform
import statistics
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.measure import OURS, Figure

DOCS = Path(__file__).parents[2] / "docs" / "bench"
TITLE_CHARACTERS = 34  # per line of a chart's title: a chart is a third of the page wide


def machine() -> dict[str, str | int]:
    """Describe the machine that the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
    }


def show(figures: Sequence[Figure]) -> None:
    """Print a table of medians and ratios, then the reason for each missing figure."""
    about = machine()
    console = Console(width=None if Console().is_terminal else 150)
    console.print(
        f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, Python {about['python']}; "
        "one core for the server, one for the load"
    )
    table = Table("work", "contestant", "median", "ours ÷ theirs (least … most)", "target", "met")
    for figure in figures:
        for position, contestant in enumerate([*figure.samples, *figure.failures]):
            work = f"{figure.name}, {figure.unit}" if position == 0 else ""
            if contestant in figure.failures:
                table.add_row(work, contestant, "no figure", _first_line(figure.failures[contestant])[:80], "", "")
                continue
            table.add_row(
                work, contestant, _number(figure.median(contestant)), _ratio_text(figure, contestant),
                _target_text(figure, contestant), {True: "yes", False: "no", None: ""}[figure.is_met(contestant)],
            )  # fmt: skip
        if figure.note:
            table.add_row(f"  {figure.note}", "", "", "", "", "", style="dim")
        table.add_section()
    console.print(table)
    # A server that could not start has the same reason in each of its rows: print it once.
    for who, reason in dict.fromkeys(item for figure in figures for item in figure.failures.items()):
        console.print(f"no figure for {who}: {reason}", markup=False, highlight=False)


def write(figures: Sequence[Figure], *, directory: Path = DOCS) -> Path:
    """Write every sample to <directory>/<date>.json; return that path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{time.strftime('%Y-%m-%d')}.json"
    rows = [
        {
            "name": figure.name,
            "unit": figure.unit,
            "more_is_better": figure.more_is_better,
            "samples": figure.samples,
            "median": {contestant: figure.median(contestant) for contestant in figure.samples},
            "failures": figure.failures,
            "note": figure.note,
        }
        for figure in figures
    ]
    path.write_text(json.dumps({"machine": machine(), "figures": rows}, indent=1) + "\n")
    return path


def draw(figures: Sequence[Figure], *, directory: Path = DOCS) -> Path:
    """Draw the medians of each figure as bars in one SVG; return its path."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    drawn = [figure for figure in figures if len(figure.samples) > 1]
    columns = 3
    lines = -(-len(drawn) // columns)
    canvas, axes = plt.subplots(lines, columns, figsize=(13, 2.3 * lines), squeeze=False)
    for axis, figure in zip(axes.flat, drawn, strict=False):
        names = list(figure.samples)
        bars = axis.barh(
            names,
            [figure.median(name) for name in names],
            color=["#c8372d" if name == OURS else "#9aa5b1" for name in names],
        )
        axis.bar_label(bars, [_number(figure.median(name)) for name in names], padding=3, fontsize=8)
        unit = f"{figure.unit}{'' if figure.more_is_better else ', less is better'}"
        axis.set_title(f"{textwrap.fill(figure.name, TITLE_CHARACTERS)}\n{unit}", fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.25)
        axis.set_xticks([])
        axis.tick_params(labelsize=8)
        axis.spines[:].set_visible(False)
    for axis in axes.flat[len(drawn) :]:
        axis.set_visible(False)
    canvas.tight_layout()
    path = directory / "figures.svg"
    canvas.savefig(path, metadata={"Date": None})
    return path


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio_text(figure: Figure, contestant: str) -> str:
    if contestant == OURS or OURS not in figure.samples:
        return ""
    ratios = figure.ratios(contestant)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})" if ratios else ""


def _target_text(figure: Figure, contestant: str) -> str:
    target = figure.targets.get(contestant)
    if target is None:
        return ""
    sign = "≥" if figure.more_is_better else "≤"
    return f"{sign} {_number(target.limit)}" if target.limit else f"{sign} {target.ratio:g} ×"
