"""The zip for the server of GLUE: eleven files in its form, or one line."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.tools.corpora.glue.tasks import TASKS
from intra_distill.tools.scoring import predictions, submission
from intra_distill.tools.scoring.submission import FILES, first_label, score_text

from ...support.labelled import make_labelled, train_predictor
from ...support.sentences import SIZES

NAMES = "CoLA SST-2 MRPC STS-B MNLI-m MNLI-mm QNLI QQP RTE WNLI AX".split()
COPIES = {"valid1": "mnli-mm", "test1": "mnli-mm", "test2": "ax"}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    """The data directory and the checkpoint of MNLI and of STS-B."""
    models = {}
    for name in ("mnli", "sts-b"):
        task, folder = TASKS[name], tmp_path_factory.mktemp(name)
        copies = COPIES if name == "mnli" else None
        data = make_labelled(folder / "data", name, task.classes, task.metrics, copies)
        options = [] if task.classes else ["--divergence", "mse"]
        models[name] = data, train_predictor(data, folder / "run", 5, *options)
    return models


@pytest.fixture
def small(monkeypatch) -> None:
    """GLUE's test sets are as small as those of the tests."""
    monkeypatch.setattr(
        submission, "FILES", [replace(file, sentences=SIZES["test"]) for file in FILES]
    )
    monkeypatch.setattr("intra_distill.cli.glue_submission.FILES", submission.FILES)


@pytest.fixture
def submit(models, tmp_path):
    """Options, pairs that replace those of the models → the path of the zip."""

    def submit(*options: str, data=None, paths=None, tasks=("mnli", "sts-b")) -> Path:
        data = data or [f"{task}={models[task][0]}" for task in tasks]
        paths = paths or [f"{task}={models[task][1]}" for task in tasks]
        output = tmp_path / "submission.zip"
        command = ["glue-submission", "--data", *data, "--path", *paths]
        main([*command, "--output", str(output), "--cpu", *options])
        return output

    return submit


def test_eleven_files_in_the_servers_form(small, submit, models, tmp_path, capsys):
    output = submit("--fill")
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == [f"{name}.tsv" for name in NAMES]
        rows = {
            name: [line.split("\t") for line in archive.read(f"{name}.tsv").decode().splitlines()]
            for name in NAMES
        }
    for name, (header, *body) in rows.items():
        assert header == ["index", "prediction"]
        assert [index for index, _ in body] == [str(number) for number in range(30)], name
    predicted = {name: [label for _, label in body[1:]] for name, body in rows.items()}
    assert set(predicted["RTE"]) == set(predicted["QNLI"]) == {"entailment"}
    filled = ["CoLA", "SST-2", "MRPC", "QQP", "WNLI"]
    assert all(set(predicted[name]) == {"0"} for name in filled)
    for task, names in {"mnli": {"test": "MNLI-m", "test1": "MNLI-mm", "test2": "AX"}}.items():
        data, path = models[task]
        command = ["evaluate", str(data), "--path", str(path), "--cpu"]
        main([*command, "--results-path", str(tmp_path), "--gen-subset", ",".join(names)])
        for subset, name in names.items():
            assert (tmp_path / f"{subset}.pred").read_text().split() == predicted[name]
    assert all(0 <= float(label) <= 5 and len(label) == 5 for label in predicted["STS-B"])
    out = capsys.readouterr().out
    assert "RTE: its first class everywhere" in out and "MNLI-m: its first" not in out


def test_the_same_predictions_make_the_same_zip(small, submit):
    first = submit("--fill").read_bytes()
    assert submit("--fill").read_bytes() == first


@pytest.mark.parametrize(
    "score, text", [(-0.2, "0.000"), (5.1, "5.000"), (3.14159, "3.142"), (-0.0001, "0.000")]
)
def test_scores_are_clamped(score, text):
    assert score_text(score) == text


def test_the_sizes_and_words_are_glues():
    assert [file.name for file in FILES] == NAMES
    sizes = [1063, 1821, 1725, 1379, 9796, 9847, 5463, 390_965, 3000, 146, 1104]
    assert [file.sentences for file in FILES] == sizes
    words = {file.name: first_label(file) for file in FILES}
    assert (words["STS-B"], words["WNLI"], words["QNLI"]) == ("0.000", "0", "entailment")
    for file in (file for file in FILES if file.task):
        assert file.subset in TASKS[file.task].tables


# What is refused


@pytest.fixture
def no_run(monkeypatch) -> None:
    monkeypatch.setattr(predictions, "predict", lambda *_: pytest.fail("predicted"))


def test_what_does_not_fit_is_refused_before_anything_is_predicted(
    small, submit, models, no_run, of_words, tmp_path
):
    (mnli, model), (sts_b, regressor) = models["mnli"], models["sts-b"]
    both = [f"mnli={mnli}", f"sts-b={sts_b}"]
    for options, message in [
        (
            {"tasks": ["mnli"]},
            "whole zip: give cola, sst-2, mrpc, qqp, sts-b, qnli, rte by --data",
        ),
        ({"data": both, "paths": [f"mnli={model}"]}, "--data sts-b has no --path sts-b=…"),
        (
            {"data": [both[0]], "paths": [f"mnli={model}", f"rte={model}"]},
            "--path rte has no --da",
        ),
        ({"data": [f"rte={mnli}"], "paths": [f"rte={model}"]}, "--data rte=.* is of mnli"),
        ({"data": [f"rte={of_words}"], "paths": [f"rte={model}"]}, "--data rte=.* is of tiny"),
        ({"data": [both[0]] * 2, "paths": [f"mnli={model}"]}, "--data has mnli twice"),
        ({"data": [both[0]], "paths": [f"mnli={regressor}"]}, "it predicts numbers"),
        ({"data": [both[0]], "paths": ["mnli=none"]}, "none: there is no such checkpoint"),
        ({"data": ["mnli=none"], "paths": [f"mnli={model}"]}, "none has no labels.json"),
    ]:
        fill = [] if "whole zip" in message else ["--fill"]
        with pytest.raises(SystemExit, match=message):
            submit(*fill, **options)
    with pytest.raises(SystemExit, match="--output .*: there is no folder"):
        submit("--fill", f"--output={tmp_path}/none/x.zip")
    assert not list(tmp_path.glob("*.zip*"))


def test_a_test_set_of_another_size_is_refused(submit, no_run):
    with pytest.raises(SystemExit, match="test has 30 sentences, GLUE's STS-B has 1379"):
        submit("--fill", tasks=["sts-b"])


def test_without_the_diagnostic_set_mnli_is_refused(small, submit, models, no_run, tmp_path):
    data, model = models["mnli"]
    copy = shutil.copytree(data, tmp_path / "data")
    report = copy / "labels.json"
    report.write_text(report.read_text().replace('"test2"', '"test3"'))
    with pytest.raises(SystemExit, match="has no subset 'test2'"):
        submit("--fill", data=[f"mnli={copy}"], paths=[f"mnli={model}"])
