"""Violin plots of systems side by side, as in the paper's Figures 3, 5 and 9."""

from pathlib import Path

from torch import Tensor

from ...core.sensitivity import without_top_1_percent
from ..reports.picture import AS_IT_IS, COLOURS, add_legend, save_picture

MOST_VALUES = 1_000_000  # in a violin: more would not change its outline


def sample(ascending: Tensor) -> Tensor:
    """Take every tenth of ascending sensitivities (N,), without the largest 1 %."""
    values = without_top_1_percent(ascending)
    return values[:: max(10, len(values) // MOST_VALUES)].clone()


def draw_violins(path: Path, samples: dict[str, Tensor], sds: dict[str, float], label: str) -> None:
    """Draw a violin for each system and, on the right axis, its standard deviation.

    Args:
        path: of the picture; its ending is the type
        samples: by system, from :func:`sample`
        sds: by system, the standard deviation over all its parameters
        label: of the left axis, with the unit
    """
    from matplotlib.figure import Figure  # here, so that no other command waits for it
    from matplotlib.patches import Patch

    figure = Figure(figsize=(max(5.7, 1.5 + 1.2 * len(samples)), 4.2), layout="constrained")
    axes = figure.subplots()
    positions = range(len(samples))
    parts = axes.violinplot(
        [values.numpy() for values in samples.values()],
        positions,
        widths=0.8,
        showextrema=False,
        points=500,
    )
    for body in parts["bodies"]:
        body.set(facecolor=COLOURS[2], edgecolor=COLOURS[5], alpha=0.8)
    axes.set_xticks(positions, list(samples), rotation=20 if len(samples) > 5 else 0, **AS_IT_IS)
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)

    right = axes.twinx()
    (line,) = right.plot(positions, [sds[name] for name in samples], "o-", color=COLOURS[3])
    right.set_ylim(0, 1.15 * max(sds.values()) or 1)
    right.set_ylabel("standard deviation over all parameters", color=COLOURS[3])
    right.tick_params(axis="y", colors=COLOURS[3])
    right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    violin = Patch(facecolor=COLOURS[2], edgecolor=COLOURS[5])
    add_legend(figure, {"without the top 1 %": violin, "standard deviation": line}, ncols=2)

    save_picture(figure, path)
