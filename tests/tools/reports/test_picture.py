import pytest
import torch
from matplotlib.figure import Figure

from intra_distill.tools.analysis.violins import draw_violins
from intra_distill.tools.reports.grid import lay_out
from intra_distill.tools.reports.picture import add_legend, save_picture
from intra_distill.tools.reports.plots import plot_loss, plot_passes, plot_sensitivity
from intra_distill.tools.reports.runs import gather
from intra_distill.tools.reports.table import draw_bars

from ...support.logs import train_line, valid_line, write_log
from ...support.results import make_result, put

# to matplotlib these would be left out, mathematics, or wrong mathematics
NAMES = ["_baseline", "a$x$", "$", r"c$\frac{$", "x_1^2", "plain"]


def named(figure: Figure) -> list[str]:
    """The names in a legend, where they stand as they are."""
    texts = figure.legends[0].get_texts()
    assert not any(text.get_parse_math() for text in texts)
    return [text.get_text() for text in texts]


def test_a_legend_has_names_as_they_are(figures, tmp_path):
    drawing = Figure(layout="constrained")
    axes = drawing.subplots()
    add_legend(drawing, {name: axes.plot([1, 2])[0] for name in NAMES}, ncols=2)
    save_picture(drawing, tmp_path / "picture.png")
    assert named(figures[0]) == NAMES


@pytest.mark.parametrize(
    "draw",
    [
        lambda paths: plot_loss(paths, "loss", "valid"),
        plot_sensitivity,
        lambda paths: plot_passes(paths, "test", None),
    ],
    ids=["loss", "sensitivity", "passes"],
)
def test_names_in_curves(tmp_path, draw):
    for name in NAMES:
        for K in (2, 3):
            folder = put(tmp_path, make_result(name, seed=K, num_passes=K)).parent
        write_log(folder, *(line(n, 3) for line in (valid_line, train_line) for n in (1, 2)))
    assert sorted(named(draw([tmp_path]))[: len(NAMES)]) == sorted(NAMES)


def test_names_in_bars(figures, tmp_path):
    for name in NAMES:
        for dataset in ("de-en", "fr$x-en"):
            put(tmp_path / "runs", make_result(name, dataset))
    runs = gather([tmp_path / "runs"], ["test"])
    draw_bars(tmp_path / "picture.png", lay_out(runs, reference="plain"))
    assert sorted(named(figures[0])) == sorted(NAMES)
    ticks = figures[0].axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["de-en", "fr$x-en"]
    assert not any(tick.get_parse_math() for tick in ticks)


def test_names_in_violins(figures, tmp_path):
    samples = {name: torch.rand(20) for name in NAMES}
    draw_violins(tmp_path / "p.png", samples, dict.fromkeys(NAMES, 0.1), "sensitivity")
    ticks = figures[0].axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == NAMES
    assert not any(tick.get_parse_math() for tick in ticks)
