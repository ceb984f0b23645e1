import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure

from intra_distill.cli import main
from intra_distill.tools.reports.logs import points_of, read_log, read_logs
from intra_distill.tools.reports.messages import TRAINING, read_statistics

from ...support.logs import (
    STAMP,
    prediction_line,
    prediction_train_line,
    train_line,
    valid_line,
    write_log,
)
from ...support.results import SIGNATURES, in_metrics, make_prediction, make_result, put
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


HYDRA = yaml.safe_load(
    resources.files("hydra.conf.hydra.job_logging").joinpath("default.yaml").read_text()
)
# how a program of fairseq's writes a line of its log; --log-file is an option of both
WRITERS = {
    "fairseq-train": "%(asctime)s | %(levelname)s | %(name)s | %(message)s",
    "fairseq-hydra-train": HYDRA["formatters"]["simple"]["format"],
    "hydra's colorlog": "[\x1b[36m%(asctime)s\x1b[0m][%(name)s] - %(message)s\x1b[0m",
    "torchrun": "[default0]:%(asctime)s | %(levelname)s | %(name)s | %(message)s",
}


@pytest.fixture
def write_logs(configure, tmp_path):
    """Train with a --log-format → the log of each writer."""

    def write_logs(log_format: str) -> dict[str, Path]:
        paths = {name: tmp_path / f"{i}.log" for i, name in enumerate([*WRITERS, "--log-file"])}
        root = logging.getLogger()
        handlers = []
        for writer, text in WRITERS.items():
            handler = logging.FileHandler(paths[writer])
            handler.setFormatter(logging.Formatter(text, "%Y-%m-%d %H:%M:%S"))
            handlers.append(handler)
        options = ["--log-file", str(paths["--log-file"]), "--log-format", log_format]
        # an epoch has 19 updates
        options += "--log-interval 4 --track-sensitivity 2 --max-update 24".split()
        options += "--valid-subset train,valid,test --save-interval-updates 8 --no-save".split()
        level = root.level
        try:
            root.setLevel(logging.INFO)
            root.handlers += handlers
            run_training(configure(*INTRA, *options))
        finally:
            root.setLevel(level)
            for handler in handlers:
                root.removeHandler(handler)
            for name in ("fairseq_cli.train", "fairseq.logging.progress_bar"):  # of --log-file
                logging.getLogger(name).handlers.clear()
        return paths

    return write_logs


@pytest.mark.parametrize("log_format", ["simple", "json", "tqdm"])
def test_all_that_fairseq_writes_is_read(write_logs, monkeypatch, log_format):
    """In each of its forms, and the same in all."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    curves = []
    for path in write_logs(log_format).values():
        log = read_log(path, "x")
        assert log.is_fairseqs
        curves.append(
            {
                (of, name): points_of(log.statistics, of, name)
                for of in ("train", "valid", "test", TRAINING)
                for name in ("loss", "nll_loss", "sensitivity_top", "sensitivity_rest")
            }
        )
    first = curves[0]
    assert curves == [first] * 5
    for subset in ("train", "valid", "test"):
        assert list(first[subset, "loss"]) == list(first[subset, "nll_loss"]) == [8, 16, 19, 24]
        assert not first[subset, "sensitivity_top"]
    assert (
        len({tuple(first[subset, "loss"].values()) for subset in ("train", "valid", "test")}) == 3
    )
    # on a terminal, tqdm draws the statistics of training as a part of its bar
    updates = [] if log_format == "tqdm" else [4, 8, 12, 16, 20, 24]
    for name in ("loss", "sensitivity_top", "sensitivity_rest"):
        assert list(first[TRAINING, name]) == updates


def points(lines: Iterable[str], of: str = "valid", name: str = "loss") -> dict[int, float]:
    return points_of([each for each in map(read_statistics, lines) if each], of, name)


def test_a_resumed_run_replaces_what_it_repeats():
    """Also if it is resumed by another program, or with another --log-format."""
    killed = [valid_line(update, 10 - update) for update in (1, 2, 3, 4)]
    resumed = ["epoch 001 | valid on 'valid' subset | loss 5 | num_updates 2"]
    resumed += [json_line(valid_loss="5", valid_num_updates="3")]
    assert points([*killed, *resumed]) == {1: 9, 2: 5, 3: 5}


def json_line(**values: str) -> str:
    return f"[2026-11-22 10:00:00,123][valid][INFO] - {json.dumps({'epoch': 1} | values)}"


MESSAGES = {
    "another logger's": f"{STAMP} | fairseq.tasks.text_to_speech | Please install tensorboardX",
    "hydra's": "[2026-11-22 10:00:00,123][fairseq_cli.train][INFO] - {'_name': None, 'common': {",
    "without a header": "{'_name': None, 'common': {'_name': None, 'no_progress_bar': False",
    "of an epoch": "epoch 001 | loss 9 | ppl 9 | num_updates 9 | train_wall 0 | wall 2",
    "of an epoch, json": json_line(train_loss="9", train_num_updates="9", train_wall="0"),
    "of training": train_line(9),
    "none": "",
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize(
    "cut", ["num_updates 3", "num_updates", "loss 7", "valid on", "epoch", f"{STAMP} |"]
)
def test_a_killed_line_does_not_count(tmp_path, cut, message):
    """Neither at the end of a log nor where another line goes on in it."""
    line = valid_line(300, 7.0)
    broken = line[: line.index(cut) + len(cut)] + MESSAGES[message]
    whole = [valid_line(1, 9.0), valid_line(2, 8.0)]
    path = write_log(tmp_path, *whole, broken, end="\n" if MESSAGES[message] else "")
    assert points_of(read_log(path, "x").statistics, "valid", "loss") == {1: 9.0, 2: 8.0}


def test_a_line_behind_a_killed_one_counts():
    cut = valid_line(3, 7.0)[:-40]
    assert points([cut + valid_line(4, 6.0)]) == {4: 6.0}
    assert points([cut + json_line(valid_loss="6", valid_num_updates="4")]) == {4: 6.0}
    assert points([json_line(valid_loss="7")[:-5] + valid_line(4, 6.0)]) == {4: 6.0}


def test_a_cut_json_line_does_not_count():
    line = json_line(valid_loss="7.5", valid_num_updates="1e+06")
    assert points([line, line[:-1]]) == {1_000_000: 7.5}
    assert points([line[:-3]]) == {}


@pytest.mark.parametrize("value", ["nan", "inf", "None"])
def test_what_is_no_number_is_left_out(value):
    lines = [train_line(100, top=value), train_line(200)]
    assert points(lines, TRAINING, "sensitivity_top") == {200: 2e-6}


# Folders of logs


def test_a_folder_is_searched_for_the_logs_of_both_programs(tmp_path):
    run = tmp_path / "runs" / "intra_x" / "seed1"
    started = tmp_path / "outputs" / "2026-11-22" / "10-00-00"
    for folder in (run, started):
        write_log(folder, valid_line(1, 9.0))
    (started / "train.log").rename(started / "hydra_train.log")
    write_log(run, valid_line(1, 9.0)).with_name("hydra_train.log").write_text("the same run\n")
    write_log(run, valid_line(1, 9.0)).with_name("other.log").write_text("no log\n")
    logs = read_logs([tmp_path])
    assert [log.path for log in logs] == [started / "hydra_train.log", run / "train.log"]
    assert [log.system for log in logs] == ["outputs/2026-11-22/10-00-00", "runs/intra_x"]


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
    assert capsys.readouterr().err.startswith(f"left out: {empty}: no validation in it: let")


@pytest.fixture
def reference(tmp_path) -> Path:
    path = tmp_path / "reference.yaml"
    curves = {"intra_x": {"loss": {50: 7.0, 150: 5.5}, "nll_loss": {50: 5.0}}}
    curves["transformer"] = {"loss": {50: 8.0}}
    values = {"source": "S_$1", "subset": "valid", "unit": "bits per token", "curves": curves}
    path.write_text(yaml.safe_dump(values))
    return path


def test_published_curves_are_dotted_beside_ours(drawn, tmp_path, reference):
    for system in ("de-en/intra_x/seed1", "de-en/simcut/seed1", "he-en/intra_x/seed1"):
        write_log(tmp_path / "runs" / system, valid_line(100, 6.0))
    figure = drawn("loss", tmp_path / "runs", "--reference", reference)
    *ours, theirs, transformer = figure.axes[0].lines
    names = ["de-en/intra_x", "de-en/simcut", "he-en/intra_x"]
    assert legend_of(figure) == [*names, "intra_x, published", "transformer, published"]
    assert [line.get_linestyle() for line in [*ours, theirs, transformer]] == [*"---", *"::"]
    assert list(theirs.get_xdata()) == [50, 150] and list(theirs.get_ydata()) == [7.0, 5.5]
    assert theirs.get_color() == ours[0].get_color()
    assert len({line.get_color() for line in [*ours, transformer]}) == 4
    assert figure.get_supxlabel() == "published: S_$1"

    figure = drawn("loss", tmp_path / "runs", "--reference", reference, "--log-key", "ppl")
    assert lines_of(figure)[-1] == ([50], [32.0])
    assert legend_of(figure)[-1] == "intra_x, published"  # of transformer there is no nll_loss


def test_published_curves_that_do_not_compare_are_refused(drawn, tmp_path, reference):
    log = write_log(tmp_path / "a", prediction_line(100, 6.0), valid_line(100, 6.0, "test"))
    for options, refusal in (
        ([], "reference.yaml is in bits per token, and the logs are in bits per sentence"),
        (["--log-key", "accuracy"], "the logs are in bits per sentence"),
        (["--valid-subset", "test"], "reference.yaml is of valid, and the logs are of test"),
    ):
        with pytest.raises(SystemExit, match=refusal):
            drawn("loss", log, "--reference", reference, *options)
    log = write_log(tmp_path / "b", valid_line(100, 6.0).replace("ppl", "accuracy 1 | ppl"))
    with pytest.raises(SystemExit, match="has no curve of accuracy, but of loss, nll_loss"):
        drawn("loss", log, "--reference", reference, "--log-key", "accuracy")


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


@pytest.mark.parametrize(
    "picture, lines, reason",
    [
        ("loss", None, "this is no log of fairseq-train or fairseq-hydra-train"),
        ("loss", [], "no validation in it: let the run validate, and"),
        ("loss", [train_line(1)], "no validation in it: let the run validate, and"),
        (
            "loss",
            [valid_line(1, 6.0, "a"), valid_line(1, 6.0, "b")],
            "no validation on valid, but on a, b: choose by --valid-subset",
        ),
        ("loss", [valid_line(1, "nan")], "no number for loss in the lines of valid: choose"),
        ("sensitivity", [valid_line(1, 6.0)], "no statistics of training in it: they need"),
        (
            "sensitivity",
            ["epoch 001:      2 / 19 loss=4.317, num_updates=2"],
            "no number for sensitivity_top in the lines of train_inner: train with --track-sens",
        ),
    ],
)
def test_why_a_log_gives_no_curve_is_said(drawn, tmp_path, picture, lines, reason):
    path = write_log(tmp_path / "a", *(lines or []))
    if lines is None:
        path.write_text("epoch 1\n")
    with pytest.raises(SystemExit, match=f"plot: {path}: {reason}"):
        drawn(picture, tmp_path)
    path.with_name("b.log").write_text("epoch 1\n")
    path.with_name("c.log").write_text("")
    paths = [path, path.with_name("b.log"), path.with_name("c.log")]
    two = f"{path}: {reason}.*; {paths[1]} and 1 more: this is no log"
    with pytest.raises(SystemExit, match=f"{path} and 2 more: " if lines is None else two):
        drawn(picture, *paths)


# Labelled sentences


def test_curves_of_predictions_have_their_own_units(drawn, tmp_path):
    lines = (prediction_line(4, 1.25), prediction_line(8, 1.0), prediction_train_line(4))
    classes = write_log(tmp_path / "classes", *lines)
    figure = drawn("loss", classes)
    assert lines_of(figure) == [([4, 8], [1.25, 1.0])]
    assert figure.axes[0].get_ylabel() == "valid loss (bits per sentence)"
    figure = drawn("loss", classes, "--log-key", "f1")
    assert lines_of(figure) == [([4, 8], [50, 50])]
    assert figure.axes[0].get_ylabel() == "valid F1 (× 100)"
    figure = drawn("sensitivity", classes)
    assert figure.axes[0].get_ylabel() == "mean |θ ⊙ g| (nats per sentence)"

    numbers = write_log(tmp_path / "numbers", prediction_line(4, 2.0, "pearson 80"))
    assert drawn("loss", numbers).axes[0].get_ylabel() == "valid loss (squared error per sentence)"
    with pytest.raises(SystemExit, match="per sentence, .*/numbers/train.log in squared error"):
        drawn("loss", classes, numbers)
    with pytest.raises(SystemExit, match="no number for ppl in the lines of valid: choose another"):
        drawn("loss", classes, "--log-key", "ppl")


def test_accuracy_of_tokens_is_of_a_translation(drawn, tmp_path):
    log = write_log(tmp_path / "a", f"{valid_line(4, 5.0)} | accuracy 40")
    assert drawn("loss", log).axes[0].get_ylabel() == "valid loss (bits per token)"


def test_predictions_against_the_number_of_passes(drawn, tmp_path):
    for name, K in {"plain": 1, "intra_x": 2, "intra_x+task.num_passes=3": 3}.items():
        result = make_prediction(name, accuracy=60.0 + K)
        put(tmp_path, replace(result, checkpoint=replace(result.checkpoint, num_passes=K)))
    figure = drawn("bleu", tmp_path, "--gen-subset", "valid")
    assert figure.axes[0].get_ylabel() == "accuracy (%), valid rte"
    assert figure.get_supxlabel() == result.signatures["accuracy"]
