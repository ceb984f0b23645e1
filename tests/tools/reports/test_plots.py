import json
from pathlib import Path

import pytest
from fairseq.logging import metrics
from matplotlib.figure import Figure

from intra_distill.cli import main
from intra_distill.tools.reports.logs import points_of

from ...support.logs import STAMP, train_line, valid_line, write_log
from ...support.results import SIGNATURES, in_metrics, make_result, put
from ...support.training import CONFIGS, INTRA, run_training


@pytest.fixture
def drawn(figures, tmp_path):
    """Arguments of the command → the figure that it draws."""

    def drawn(*arguments: object, to: str = "picture.png") -> Figure:
        main(["plot", *map(str, arguments), "--plot", str(tmp_path / to)])
        assert [path.name for path in tmp_path.glob("picture*")] == [to]
        return figures[-1]

    return drawn


def lines_of(figure: Figure) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Reading logs


@pytest.mark.parametrize("format", ["simple", "json"])
def test_what_fairseq_writes_is_read(configure, tmp_path, caplog, format):
    caplog.set_level("INFO", logger="fairseq.logging.progress_bar")
    metrics.reset()
    options = f"--log-format {format} --log-interval 2 --track-sensitivity 2".split()
    run_training(configure(*INTRA, *options, "--max-update", "4"))
    lines = [f"{STAMP} | {record.name} | {record.getMessage()}" for record in caplog.records]
    assert list(points_of(lines, "valid", "loss")) == [4]
    for key in ("sensitivity_top", "sensitivity_rest", "loss"):
        points = points_of(lines, "train_inner", key)
        assert list(points) == [2, 4] and min(points.values()) > 0


def test_a_resumed_run_replaces_what_it_repeats():
    killed = [valid_line(update, 10 - update) for update in (1, 2, 3, 4)]
    resumed = [valid_line(update, 5) for update in (2, 3)]
    assert points_of([*killed, *resumed], "valid", "loss") == {1: 9, 2: 5, 3: 5}


@pytest.mark.parametrize(
    "cut", ["num_updates 3", "num_updates", "loss 7", "valid on", "epoch", f"{STAMP} |"]
)
def test_a_killed_line_does_not_count(drawn, tmp_path, cut):
    """Neither at the end of a log nor where the log of the resumed run goes on in it."""
    line = valid_line(300, 7.0)
    broken = line[: line.index(cut) + len(cut)]
    whole = [valid_line(1, 9.0), valid_line(2, 8.0)]
    resumed = f"{broken}{STAMP} | fairseq.tasks.text_to_speech | Please install tensorboardX"
    for i, text in enumerate([[*whole, broken], [*whole, resumed]]):
        write_log(tmp_path / str(i), *text, end="" if i == 0 else "\n")
        assert lines_of(drawn("loss", tmp_path / str(i))) == [([1, 2], [9.0, 8.0])]


def test_a_cut_json_line_does_not_count():
    line = f"{STAMP} | valid | " + json.dumps({"valid_loss": "7.5", "valid_num_updates": "1e+06"})
    assert points_of([line, line[:-1]], "valid", "loss") == {1_000_000: 7.5}
    assert points_of([line[:-3]], "valid", "loss") == {}


@pytest.mark.parametrize("value", ["nan", "inf", "None"])
def test_what_is_no_number_is_left_out(value):
    lines = [train_line(100, top=value), train_line(200)]
    assert points_of(lines, "train_inner", "sensitivity_top") == {200: 2e-6}


# The pictures


@pytest.mark.parametrize(
    "options, expected, label",
    [
        ([], 5.0, "valid loss (bits per token)"),
        (["--log-key", "nll_loss"], 4.0, "valid negative log-likelihood (bits per token)"),
        (["--log-key", "ppl"], 16.0, "valid perplexity"),
    ],
)
def test_validation_curves(drawn, tmp_path, options, expected, label):
    for system in ("transformer", "intra_x+criterion.constant_alpha=true"):
        for seed in ("seed1", "seed2"):
            folder = tmp_path / "runs" / system / seed
            write_log(folder, valid_line(100, 6.0), train_line(150), valid_line(200, 5.0))
    figure = drawn("loss", tmp_path / "runs", *options)
    assert [(x, y[-1]) for x, y in lines_of(figure)] == [([100, 200], expected)] * 4
    assert legend_of(figure) == ["intra_x constant_alpha=true", "transformer"]
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("update", label)


def test_systems_of_several_pairs_are_told_apart(drawn, tmp_path):
    for pair in ("de-en", "he-en"):
        write_log(tmp_path / pair / "intra_x" / "seed1", valid_line(100, 6.0))
    other = write_log(tmp_path / "de-en" / "x", valid_line(100, 6.0)).rename(tmp_path / "mine.log")
    figure = drawn("loss", tmp_path / "he-en", tmp_path / "de-en", other, other)
    assert legend_of(figure) == ["he-en/intra_x", "de-en/intra_x", "mine"]


def test_a_run_without_the_statistic_is_named_and_left_out(drawn, tmp_path, capsys):
    write_log(tmp_path / "runs" / "a", valid_line(100, 6.0))
    empty = write_log(tmp_path / "runs" / "b")
    assert len(lines_of(drawn("loss", tmp_path / "runs"))) == 1
    assert capsys.readouterr().err == f"left out: {empty} has no loss in its lines of valid\n"


def test_sensitivity_over_training(drawn, tmp_path):
    write_log(tmp_path / "a", train_line(100), train_line(200, 3e-6, 2e-8), train_line(300, "None"))
    figure = drawn("sensitivity", tmp_path / "a")
    assert lines_of(figure) == [([100, 200], [2e-6, 3e-6]), ([100, 200, 300], [1e-8, 2e-8, 1e-8])]
    assert legend_of(figure) == ["a", "top 20 %", "the rest"]
    assert figure.axes[0].get_yscale() == "log"


@pytest.fixture
def grid(tmp_path) -> Path:
    """intra_x with K = 2, 3 (two seeds each) and 4 (one), and the transformer with two seeds."""
    runs = tmp_path / "runs"
    for system, K, seed, bleu in [
        ("intra_x+task.num_passes=4", 4, 1, 35.0),
        *(("intra_x+task.num_passes=2", 2, seed, 33.0 + seed) for seed in (1, 2)),
        *(("intra_x", 3, seed, 34.0 + seed) for seed in (1, 2)),
        *(("transformer", 1, seed, 30.0 + seed) for seed in (1, 2)),
    ]:
        put(runs, make_result(system, seed=seed, bleu=bleu, num_passes=K))
    return runs


def test_bleu_against_k(drawn, grid):
    figure = drawn("bleu", grid)
    (errors,) = figure.axes[0].containers
    assert list(zip(*errors.lines[0].get_data())) == [(2, 34.5), (3, 35.5), (4, 35.0)]
    half = 0.5**0.5  # the standard deviation of two numbers that differ by 1
    lengths = [abs(high[1] - low[1]) / 2 for low, high in errors.lines[2][0].get_segments()]
    assert lengths == pytest.approx([half, half, 0])
    assert [31.5, 31.5] in [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert legend_of(figure) == ["intra_x", "transformer"]
    assert figure.axes[0].get_ylabel() == "BLEU (0–100), test de-en"
    note = figure.get_supxlabel()
    assert SIGNATURES["BLEU"] in note and "over the seeds (n = 1–2)" in note


def test_systems_that_differ_in_the_group_alone_keep_their_names(drawn, tmp_path):
    for name in ("a+task.x=1", "a+model.x=1"):
        write_log(tmp_path / "runs" / name, valid_line(1, 3))
    assert legend_of(drawn("loss", tmp_path / "runs")) == ["a+model.x=1", "a+task.x=1"]


def test_another_metric_against_k(drawn, grid):
    figure = drawn("bleu", grid, "--metric", "chrF")
    assert figure.axes[0].get_ylabel() == "chrF (0–100), test de-en"
    assert SIGNATURES["chrF"] in figure.get_supxlabel()


def test_the_primary_metric_is_drawn(drawn, tmp_path):
    put(tmp_path, in_metrics(make_result(), {"TER": 40.0, "BLEU": 30.0}))
    figure = drawn("bleu", tmp_path)
    assert figure.axes[0].get_ylabel() == "TER (edits per 100 words), test de-en"


@pytest.mark.parametrize(
    "overrides, end, label",
    [
        ([], 5.0, "α = 5, p = 5, q = 10: γ = 2.32, N = 50000"),
        (["--updates", "100"], 5.0, "α = 5, p = 5, q = 10: γ = 2.32, N = 100"),
        (["criterion.alpha=1"], 1.0, "α = 1"),
        (["criterion.constant_alpha=true"], 5.0, "α = 5"),
    ],
)
def test_the_curve_of_alpha(drawn, overrides, end, label):
    figure = drawn("alpha", CONFIGS / "iwslt14" / "intra_x.yaml", *overrides)
    N = 100 if "--updates" in overrides else 50000
    curve = dict(zip(*lines_of(figure)[0]))
    assert min(curve) == 0 and max(curve) == N and curve[N] == curve[N // 5] == end
    if "γ" in label:
        assert curve[0] == 0 and curve[N // 10] == pytest.approx(1)
        texts = [text.get_text() for text in figure.axes[0].texts]
        assert texts == [f"N/q = {N // 10}: α′ = 1", f"N/p = {N // 5}: α′ = 5"]
    else:
        assert set(curve.values()) == {end} and not figure.axes[0].texts
    assert legend_of(figure) == [label]


@pytest.mark.parametrize("to", ["picture.png", "picture.pdf", "picture.svg"])
def test_the_type_is_that_of_the_name(drawn, tmp_path, to):
    drawn("alpha", CONFIGS / "iwslt14" / "intra_x.yaml", to=to)
    start = (tmp_path / to).read_bytes()[:5]
    assert start in {"png": [b"\x89PNG\r"], "pdf": [b"%PDF-"], "svg": [b"<?xml"]}[to[-3:]]


# Bad input


def test_results_of_two_data_sets_are_not_one_picture(drawn, tmp_path):
    for dataset in ("de-en", "he-en"):
        put(tmp_path, make_result(dataset=dataset))
    with pytest.raises(SystemExit, match="are of de-en and he-en: draw one at a time"):
        drawn("bleu", tmp_path)


def test_two_results_of_one_place_are_refused(drawn, tmp_path):
    for system in ("intra_x", "intra_x+task.num_passes=3"):
        put(tmp_path, make_result(system, num_passes=3))
    with pytest.raises(SystemExit, match="are both intra_x with K = 3 on de-en with seed 1: leave"):
        drawn("bleu", tmp_path)


def test_a_statistic_that_no_log_has_is_refused(drawn, tmp_path):
    write_log(tmp_path, valid_line(100, 6.0))
    with pytest.raises(SystemExit, match="no log has sensitivity_top in .*: train with --track-se"):
        drawn("sensitivity", tmp_path)
