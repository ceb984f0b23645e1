"""An evaluation on many test sets: what it reads once, and what is left when it is stopped."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fairseq import checkpoint_utils

from intra_distill.errors import UserError
from intra_distill.tools.scoring import evaluator, predictions
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import read_result


@pytest.fixture
def asked(of_words, tagger, tmp_path) -> Evaluation:
    """An evaluation on two languages, of a data directory that the test may change."""
    data = shutil.copytree(of_words, tmp_path / "data")
    return Evaluation(data, tagger, tmp_path / "results", inference=Inference(cpu=True))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """What is done to a checkpoint: read, hashed, loaded by fairseq."""
    done = []

    def count(module, name: str) -> None:
        function = getattr(module, name)

        def counting(path, *args, **kwargs):
            if str(path).endswith(".pt"):
                done.append(name)
            return function(path, *args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    count(evaluator, "sha256")
    count(evaluator, "read_checkpoint")
    count(checkpoint_utils, "load_checkpoint_to_cpu")
    return done


def test_a_checkpoint_is_read_once_for_all_languages(asked, counted):
    assert len(evaluate(asked)) == 2
    assert sorted(counted) == ["load_checkpoint_to_cpu", "read_checkpoint", "sha256"]
    counted.clear()
    assert len(evaluate(asked)) == 2  # all of it is done
    assert counted == ["sha256"]


def test_files_of_all_languages_are_checked_before_the_checkpoint_is_read(asked, counted):
    (asked.data / "test-de.ref").write_text("O\n")
    with pytest.raises(UserError, match="test-de.ref has 1 lines for 9 sentences"):
        evaluate(asked)
    assert counted == []


class Stopped(Exception):
    pass


def test_what_is_done_when_it_is_stopped_is_kept(asked, monkeypatch):
    expected = evaluate(replace(asked, results_path=asked.data / "results"))
    predict, ran = predictions.predict, []

    def stop_at_second(checkpoint, dataset, subset, inference):
        if ran:
            raise Stopped
        ran.append(subset)
        return predict(checkpoint, dataset, subset, inference)

    monkeypatch.setattr(predictions, "predict", stop_at_second)
    reported = []
    with pytest.raises(Stopped):
        evaluate(asked, reported.append)
    assert reported == [read_result(asked.results_path / "test-ar.json")] == expected[:1]
    assert not (asked.results_path / "test-de.json").exists()

    monkeypatch.setattr(predictions, "predict", lambda *args: ran.append(args[2]) or predict(*args))
    assert evaluate(asked) == expected
    assert ran == ["test-ar", "test-de"]


def test_a_language_that_changed_is_run_alone(asked, monkeypatch):
    evaluate(asked)
    for file in ("input0/test-de.bin", "input0/test-de.idx"):
        shutil.copy(Path(asked.data, file.replace("de", "ar")), asked.data / file)
    for file in ("label/test-de.bin", "label/test-de.idx", "test-de.ref"):
        shutil.copy(Path(asked.data, file.replace("de", "ar")), asked.data / file)
    report = asked.data / "labels.json"
    report.write_text(report.read_text().replace('"sentences": 9', '"sentences": 30'))
    predict, ran = predictions.predict, []
    monkeypatch.setattr(predictions, "predict", lambda *args: ran.append(args[2]) or predict(*args))
    ar, de = evaluate(asked)
    assert ran == ["test-de"] and ar.scores == de.scores
