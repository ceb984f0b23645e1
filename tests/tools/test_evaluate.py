import argparse
import hashlib
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import sentencepiece
import torch
from fairseq import options
from fairseq.data import Dictionary, indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import FairseqTask
from fairseq_cli import preprocess

from intra_distill.cli import evaluate
from intra_distill.errors import UserError
from intra_distill.tools.preparation.subwords import binarise
from intra_distill.tools.scoring import evaluation, inputs, search
from intra_distill.tools.scoring.evaluation import Evaluation
from intra_distill.tools.scoring.search import Translation

from ..support.training import USER_DIR, run_training

WORDS = dict(
    zip(
        "ein mann hund haus rot läuft und im".split(),
        "a man dog house red runs and in".split(),
        strict=True,
    )
)
UPDATES = 70
SEED = 3


def translate_words(sentence: str) -> str:
    return " ".join(WORDS[word] for word in sentence.split())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A data directory with a test set whose size is odd, and the same one upside down, test1."""
    text, data = tmp_path_factory.mktemp("text"), tmp_path_factory.mktemp("data")
    rng = random.Random(1)
    training = [" ".join(rng.choices(list(WORDS), k=rng.randint(1, 5))) for _ in range(200)]
    test = [*training[:6], "", *training[6:12], "Zug", *training[12:17]]
    references = [translate_words(s) if s != "Zug" else "train" for s in test]
    texts = {
        "train": (training, [translate_words(s) for s in training]),
        "test": (test, references),
        "test1": (test[::-1], references[::-1]),
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([s for sentences in texts["train"] for s in sentences]),
        model_prefix=str(data / "sentencepiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(data / "sentencepiece.model"))
    pieces = [model.id_to_piece(i) for i in range(3, len(model))]
    dictionary = text / "dict.txt"
    dictionary.write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")
    for subset, sides in texts.items():
        for lang, sentences in zip(("de", "en"), sides, strict=True):
            lines = [" ".join(model.encode(s, out_type=str)) + "\n" for s in sentences]
            (text / f"{subset}.{lang}").write_text("".join(lines), encoding="utf-8")
        if subset != "train":
            (data / f"{subset}.ref.en").write_text("".join(f"{s}\n" for s in sides[1]))
    arguments = ["--source-lang", "de", "--target-lang", "en", "--destdir", str(data)]
    arguments += ["--trainpref", f"{text}/train", "--testpref", f"{text}/test,{text}/test1"]
    arguments += ["--srcdict", str(dictionary), "--joined-dictionary"]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    recorded = {"source_lang": "de", "target_lang": "en", "lowercase": True}
    recorded["sentencepiece_text"] = "train"
    (data / "prepare.json").write_text(json.dumps({"options": recorded}))
    return data


def train_model(data: Path, folder: Path, updates: int, *arguments: str) -> Path:
    parser = options.get_training_parser()
    sides = ("encoder", "decoder")
    args = options.parse_args_and_arch(
        parser,
        [
            *(str(data), "--save-dir", str(folder), "--cpu", "--no-progress-bar"),
            *("--user-dir", USER_DIR, *arguments),
            *("--arch", "transformer", "--share-all-embeddings", "--dropout", "0.01"),
            *(f"--{side}-{size}" for side in sides for size in ("layers=1", "embed-dim=16")),
            *(f"--{side}-ffn-embed-dim=32" for side in sides),
            *(f"--{side}-attention-heads=1" for side in sides),
            *("--optimizer", "adam", "--lr", "0.02", "--max-tokens", "1000"),
            *("--max-update", str(updates), "--no-epoch-checkpoints", "--disable-validation"),
            *("--num-workers", "0", "--required-batch-size-multiple", "1"),
        ],
    )
    run_training(convert_namespace_to_omegaconf(args))
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def checkpoint(prepared, tmp_path_factory) -> Path:
    """A checkpoint of fairseq's own task, good enough to tell the sentences apart."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return train_model(prepared, folder, UPDATES, "--task", "translation", "--seed", str(SEED))


@pytest.fixture(scope="module")
def distilled(prepared, tmp_path_factory) -> Path:
    """A checkpoint of this package's task and criterion."""
    folder = tmp_path_factory.mktemp("runs") / "distilled"
    task = ("--task", "translation_intra_distillation", "--num-passes", "2")
    return train_model(prepared, folder, 20, *task, "--criterion", "intra_distillation")


@pytest.fixture(scope="module")
def base(prepared, checkpoint, tmp_path_factory) -> Path:
    """The JSON of an evaluation of ``checkpoint``."""
    results_path = tmp_path_factory.mktemp("base")
    evaluation.evaluate(Evaluation(prepared, checkpoint, results_path))
    return results_path / "test.json"


@pytest.fixture
def no_search(monkeypatch):
    """Fail where anything is translated."""
    monkeypatch.setattr(search, "translate", lambda *_: pytest.fail("translated"))


@pytest.fixture
def evaluation(prepared, checkpoint, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(prepared, tmp_path / "data")
    return Evaluation(data, checkpoint, tmp_path / "results")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def change_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_checkpoint(path: Path, target: Path, change) -> Path:
    state = torch.load(path, weights_only=True)
    change(state)
    target.parent.mkdir(exist_ok=True)
    torch.save(state, target)
    return target


def test_result(prepared, checkpoint, base):
    result = json.loads(base.read_text(encoding="utf-8"))
    hypotheses = base.with_name("test.hyp.en")
    trained = torch.load(checkpoint, weights_only=True)
    embeddings = trained["model"]["encoder.embed_tokens.weight"]
    arguments = result.pop("generator_arguments")
    assert arguments[0] == str(prepared)
    assert " ".join(arguments).count(f"--path {checkpoint} --beam 5 --lenpen 1.0") == 1
    signatures = result.pop("signatures")
    assert set(result.pop("scores")) == set(signatures) == {"BLEU", "chrF"}
    assert result.pop("versions")["torch"] == torch.__version__
    assert all("|case:lc|" in signature for signature in signatures.values())
    assert result == {
        "system": "plain",
        "significance": None,
        "test_set": {
            "data": str(prepared),
            "subset": "test",
            "source_lang": "de",
            "target_lang": "en",
            "lowercase": True,
            "sentencepiece_text": "train",
            "sentences": 19,
            "source_sha256": digest(prepared / "test.de-en.de.bin"),
            "references": "test.ref.en",
            "references_sha256": digest(prepared / "test.ref.en"),
        },
        "checkpoint": {
            "path": str(checkpoint),
            "sha256": digest(checkpoint),
            "seed": SEED,
            "updates": UPDATES,
            "training_seconds": trained["extra_state"]["previous_training_time"],
            # embeddings; 3 attentions of 4 projections; 2 × (16·32 + 32·16); biases and norms
            "parameters": embeddings.numel()
            + 3 * 4 * (16 * 16 + 16)
            + 2 * (2 * 16 * 32 + 32 + 16)
            + 5 * 2 * 16,
        },
        "tokenizer": "13a",
        "beam": 5,
        "lenpen": 1.0,
        "max_len_a": None,
        "max_len_b": None,
        "cut_hypotheses": sum(line.count(" ") > 150 for line in lines_of(hypotheses)),
        "unknown_hypotheses": 0,
        "hypotheses": "test.hyp.en",
        "hypotheses_sha256": digest(hypotheses),
    }


def test_hypotheses_are_in_corpus_order(prepared, checkpoint, base, tmp_path):
    hypotheses = lines_of(base.with_name("test.hyp.en"))
    references = lines_of(prepared / "test.ref.en")
    pairs = list(zip(hypotheses, references, strict=True))
    right = [hypothesis.split()[:1] == reference.split()[:1] for hypothesis, reference in pairs]
    assert sum(right) > len(pairs) / 2

    upside_down = Evaluation(prepared, checkpoint, tmp_path, subset="test1", max_tokens=12)
    evaluation.evaluate(upside_down)
    assert lines_of(tmp_path / "test1.hyp.en") == hypotheses[::-1]


def test_in_corpus_order_keeps_what_is_in_the_line():
    output = "S-1\tx\nD-1\t-0.5\ta\tb\u2028c\nH-0\t-0.1\t▁d\nD-0\t-0.1\t\nGenerate: D-2"
    assert search.in_corpus_order(output, 2) == ["", "a\tb\u2028c"]


@pytest.mark.parametrize("numbers", [[0], [0, 0], [1, 2], [0, 1, 1]])
def test_in_corpus_order_wants_each_sentence_once(numbers):
    output = "".join(f"D-{number}\t-0.5\ta\n" for number in numbers)
    with pytest.raises(RuntimeError, match="one for each of the 2 sentences"):
        search.in_corpus_order(output, 2)


def test_scores_and_significance_are_those_of_sacrebleu(prepared, distilled, base, tmp_path):
    result = evaluation.evaluate(Evaluation(prepared, distilled, tmp_path, baseline=base, beam=2))
    assert result.system == "distilled"
    assert result == evaluation.read_result(tmp_path / "test.json")

    command = [sys.executable, "-m", "sacrebleu", str(prepared / "test.ref.en"), "--paired-bs"]
    command += ["-i", str(base.with_name("test.hyp.en")), str(tmp_path / "test.hyp.en")]
    command += ["-m", "bleu", "chrf", "-lc", "--chrf-lowercase", "--width", "3"]
    command += ["--format", "text"]
    environment = {**os.environ, "SACREBLEU_SEED": "12345"}
    table = subprocess.check_output(command, text=True, env=environment)
    score_mean_ci = re.findall(r"([\d.]+) \(([\d.]+) ± ([\d.]+)\)", table)
    p_values = re.findall(r"p = ([\d.]+)", table)
    tests = result.significance["tests"]
    ours = [
        (f"{test[side]['mean']:.3f}", f"{test[side]['ci']:.3f}")
        for side in ("baseline", "system")
        for test in tests.values()
    ]
    assert [(mean, ci) for _, mean, ci in score_mean_ci] == ours
    scores = [f"{score:.3f}" for score in result.scores.values()]
    assert [score for score, _, _ in score_mean_ci[2:]] == scores
    assert [f"{test['p_value']:.4f}" for test in tests.values()] == p_values
    assert all(test["signature"] in table for test in tests.values())
    assert result.significance["baseline_system"] == "plain"


def test_what_is_done_is_not_done_again(prepared, checkpoint, base, no_search, capsys):
    written = base.stat().st_mtime_ns
    again = evaluation.evaluate(Evaluation(prepared, checkpoint, base.parent))
    assert base.stat().st_mtime_ns == written
    assert asdict(again) == json.loads(base.read_text())
    assert f"{base} is of this checkpoint" in capsys.readouterr().out


def test_a_done_evaluation_can_be_named_and_compared(
    prepared, checkpoint, base, no_search, tmp_path, monkeypatch
):
    copied = shutil.copytree(base.parent, tmp_path / "copy")
    evaluation = Evaluation(prepared, checkpoint, copied, name="system", baseline=base)
    result = evaluation.evaluate(evaluation)
    assert asdict(result) == json.loads((copied / "test.json").read_text())
    assert (result.system, result.significance["baseline"]) == ("system", str(base))
    assert [test["p_value"] for test in result.significance["tests"].values()] == [1, 1]

    monkeypatch.setattr(evaluation, "compare", lambda *_: pytest.fail("compared again"))
    assert evaluation.evaluate(evaluation) == result


@pytest.mark.parametrize(
    "stale", ["beam", "lenpen", "hypotheses", "checkpoint", "references", "source"]
)
def test_what_changed_is_done_again(stale, evaluation, base, monkeypatch, tmp_path):
    shutil.copytree(base.parent, evaluation.results_path)
    change_json(
        evaluation.results_path / "test.json",
        test_set={**json.loads(base.read_text())["test_set"], "data": str(evaluation.data)},
    )
    if stale in ("beam", "lenpen"):
        evaluation = replace(evaluation, **{stale: 2})
    elif stale == "hypotheses":
        (evaluation.results_path / "test.hyp.en").unlink()
    elif stale == "checkpoint":
        other = tmp_path / "plain" / "checkpoint_last.pt"
        change_checkpoint(evaluation.checkpoint, other, lambda state: state.update(new=0))
        evaluation = replace(evaluation, checkpoint=other)
    else:
        file = {"references": "test.ref.en", "source": "test.de-en.de.bin"}[stale]
        shutil.copy(evaluation.data / file.replace("test", "test1"), evaluation.data / file)
    monkeypatch.setattr(search, "translate", lambda cfg, n, grows: Translation(["new"] * n, 0, 0))
    evaluation.evaluate(evaluation)
    assert lines_of(evaluation.results_path / "test.hyp.en") == ["new"] * 19


def test_another_tokeniser_scores_the_same_translations(evaluation, base, no_search, tmp_path):
    shutil.copytree(base.parent, evaluation.results_path)
    change_json(
        evaluation.results_path / "test.json",
        test_set={**json.loads(base.read_text())["test_set"], "data": str(evaluation.data)},
    )
    by_word = evaluation.evaluate(evaluation)
    by_character = evaluation.evaluate(replace(evaluation, tokenizer="char"))
    assert "|tok:char|" in by_character.signatures["BLEU"]
    assert by_character.scores["BLEU"] > by_word.scores["BLEU"]
    assert by_character.scores["chrF"] == by_word.scores["chrF"]
    assert evaluation.read_result(evaluation.results_path / "test.json") == by_character
    assert evaluation.evaluate(evaluation) == by_word


# The limit of length


@pytest.fixture
def lengths(monkeypatch) -> dict[int, int]:
    """The pieces of each hypothesis of the search that comes, by the number of its sentence."""
    lengths = {}
    in_corpus_order = search.in_corpus_order

    def note(output: str, sentences: int) -> list[str]:
        for number, scores in re.findall(r"^P-(\d+)\t(.*)$", output, re.MULTILINE):
            lengths[int(number)] = len(scores.split()) - 1  # but for </s>
        return in_corpus_order(output, sentences)

    monkeypatch.setattr(search, "in_corpus_order", note)
    return lengths


@pytest.fixture
def without_end(monkeypatch) -> None:
    """The model ends no hypothesis before it has to."""
    inference_step = FairseqTask.inference_step

    def step(self, generator, models, sample, *args, **kwargs):
        source = sample["net_input"]["src_tokens"].size(1)
        generator.min_len = int(generator.max_len_a * source + generator.max_len_b)
        return inference_step(self, generator, models, sample, *args, **kwargs)

    monkeypatch.setattr(FairseqTask, "inference_step", step)


@pytest.fixture
def long(evaluation) -> Evaluation:
    """Of a subset with a sentence of 130 words and one of 3."""
    data, sentences = evaluation.data, ["ein hund läuft " * 44, "ein hund läuft"]
    model = sentencepiece.SentencePieceProcessor(model_file=str(data / "sentencepiece.model"))
    dictionary = Dictionary.load(str(data / "dict.de.txt"))
    for lang, lines in {"de": sentences, "en": map(translate_words, sentences)}.items():
        binarise(model, dictionary, lines, data / f"long.de-en.{lang}", "nmt_nfkc", 1)
    (data / "long.ref.en").write_text("".join(f"{translate_words(s)}\n" for s in sentences))
    return replace(evaluation, subset="long", beam=2)


def pieces_with_end(evaluation: Evaluation) -> list[int]:
    """Of each source sentence."""
    source = f"{evaluation.data}/{evaluation.subset}.de-en.de"
    return [len(tokens) for tokens in indexed_dataset.MMapIndexedDataset(source)]


def test_a_hypothesis_may_be_as_long_as_its_source_asks(
    long, lengths, without_end, checkpoint, capsys
):
    result = evaluation.evaluate(replace(long, max_tokens=150))
    source, _ = pieces_with_end(long)
    assert lengths == {0: 2 * source, 1: 200} and source > 130
    assert result.cut_hypotheses == 2
    evaluate.print_result(result)
    printed = capsys.readouterr().out
    assert "2 of 2 hypotheses are cut at 200 pieces, or twice the source: raise" in printed


@pytest.mark.parametrize(
    "a, b, limits, words",
    [
        (None, 30, {0: 30, 1: 30}, "30 pieces"),
        (0.0, None, {0: 200, 1: 200}, "200 pieces"),
        (0.5, 7, None, "0.5 × source + 7 pieces"),
    ],
)
def test_the_limit_is_that_of_fairseq_generate(a, b, limits, words, long, lengths, without_end):
    result = evaluation.evaluate(replace(long, max_len_a=a, max_len_b=b, max_tokens=150))
    if limits is None:
        limits = {n: int(a * size + b) for n, size in enumerate(pieces_with_end(long))}
    assert lengths == limits and result.cut_hypotheses == 2
    assert result.limit_of_length == words
    arguments = " ".join(result.generator_arguments)
    assert f"--max-len-a {a or 0} --max-len-b {200 if b is None else b} " in arguments


def test_of_two_sentences_there_is_no_p_value(long, distilled, tmp_path, capsys):
    evaluation.evaluate(replace(long, results_path=tmp_path / "plain"))
    baseline = tmp_path / "plain" / "long.json"
    other = replace(long, checkpoint=distilled, results_path=tmp_path / "other", baseline=baseline)
    result = evaluation.evaluate(other)
    assert evaluation.evaluate(other) == result  # as it is read back
    tests = result.significance["tests"]
    assert [test["p_value"] for test in tests.values()] == [None, None]
    evaluate.print_result(result)
    assert "BLEU: no p-value: 2 sentences are too few to resample" in capsys.readouterr().out


def test_what_the_model_ends_by_itself_is_not_cut(prepared, checkpoint, base, lengths, tmp_path):
    for limit in (1, 3, 199, 200):
        result = evaluation.evaluate(
            Evaluation(prepared, checkpoint, tmp_path / str(limit), max_len_b=limit)
        )
        assert result.cut_hypotheses == sum(length == limit for length in lengths.values())
        assert max(lengths.values()) <= limit
    assert lines_of(tmp_path / "200" / "test.hyp.en") == lines_of(base.with_name("test.hyp.en"))
    assert result.cut_hypotheses == evaluation.read_result(base).cut_hypotheses < 19


def test_unknown_pieces_in_hypotheses_are_counted(
    prepared, checkpoint, tmp_path, monkeypatch, capsys
):
    inference_step = FairseqTask.inference_step

    def step(self, generator, *args, **kwargs):
        batch = inference_step(self, generator, *args, **kwargs)
        batch[0][0]["tokens"][0] = generator.unk
        return batch

    monkeypatch.setattr(FairseqTask, "inference_step", step)
    result = evaluation.evaluate(Evaluation(prepared, checkpoint, tmp_path, max_tokens=20))
    unknown = sum("<unk>" in line for line in lines_of(tmp_path / "test.hyp.en"))
    assert result.unknown_hypotheses == unknown > 1
    evaluate.print_result(result)
    assert f"{unknown} of 19 hypotheses have an <unk>" in capsys.readouterr().out
    assert FairseqTask.inference_step is step  # the watch is over


def test_training_time_is_of_the_last_checkpoint(evaluation, tmp_path):
    def set_time(seconds):
        return lambda state: state["extra_state"].update(previous_training_time=seconds)

    best = change_checkpoint(evaluation.checkpoint, tmp_path / "run" / "best.pt", set_time(1.0))
    assert inputs.training_seconds(best, evaluation.read_checkpoint(best)) == 1.0
    change_checkpoint(best, best.with_name("checkpoint_last.pt"), set_time(2.0))
    assert inputs.training_seconds(best, evaluation.read_checkpoint(best)) == 2.0


def test_command(evaluation, capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    arguments = [str(evaluation.data), "--path", str(evaluation.checkpoint), "--cpu"]
    arguments += ["--results-path", str(evaluation.results_path), "--gen-subset", "test1"]
    evaluate.main(parser.parse_args([*arguments, "--name", "a system", "--beam", "2"]))
    out, err = capsys.readouterr()
    title, bleu, chrf, *_ = out.splitlines()
    assert title == "a system, test1 de-en, 19 sentences"
    assert bleu.startswith("BLEU = ") and "|case:lc|eff:no|tok:13a|" in bleu
    assert chrf.startswith("chrF = ") and "|nc:6|nw:0|" in chrf
    assert err == ""


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("beam", 0, "--beam must be at least 1, not 0"),
        ("lenpen", -0.5, "--lenpen must be a number from 0 on, not -0.5"),
        ("lenpen", float("nan"), "--lenpen must be a number from 0 on, not nan"),
        ("max_tokens", -1, "--max-tokens must be at least 1, not -1"),
        ("max_len_a", -0.1, "--max-len-a must be at least 0, not -0.1"),
        ("max_len_a", float("nan"), "--max-len-a must be at least 0, not nan"),
        ("max_len_b", 0, "--max-len-b must be at least 1, not 0"),
        ("checkpoint", Path("none.pt"), "--path none.pt: there is no such checkpoint"),
        ("subset", "tset", "has no subset 'tset' to score, only test, test1"),
        ("max_tokens", 3, r"line \d+ of test has \d+ source tokens, more than --max-tokens 3"),
    ],
)
def test_bad_options_are_refused(option, value, message, evaluation, no_search):
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(replace(evaluation, **{option: value}))
    assert not evaluation.results_path.exists()


@pytest.mark.parametrize("missing", ["prepare.json", "dict.de.txt", "dict.en.txt"])
def test_data_that_is_not_prepared_is_refused(missing, evaluation, no_search):
    (evaluation.data / missing).unlink()
    with pytest.raises(UserError, match=f"data has no {missing}: make it by intra-distill prepare"):
        evaluation.evaluate(evaluation)


def test_references_of_other_data_are_refused(evaluation, no_search):
    with (evaluation.data / "test.ref.en").open("a") as references:
        references.write("one more\n")
    with pytest.raises(UserError, match="test.ref.en has 20 lines for 19 sentences"):
        evaluation.evaluate(evaluation)


def test_dictionary_of_other_data_is_refused(evaluation, no_search):
    with (evaluation.data / "dict.en.txt").open("a") as dictionary:
        dictionary.write("new 1\n")
    types = len((evaluation.data / "dict.de.txt").read_text().splitlines()) + 4
    message = f"decoder knows {types} types, .*/dict.en.txt makes {types + 1}$"
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(evaluation)


def test_sentences_longer_than_the_model_takes_are_refused(evaluation, no_search, tmp_path):
    def shorten(state):
        state["cfg"]["model"].max_source_positions = 4

    path = change_checkpoint(evaluation.checkpoint, tmp_path / "run" / "short.pt", shorten)
    message = r"line \d+ of test has \d+ source tokens, the model takes 4"
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(replace(evaluation, checkpoint=path))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"text", "is not a PyTorch checkpoint, or only a part of one"),
        ("truncated", "is not a PyTorch checkpoint, or only a part of one"),
        ("zip", "is refused: unpacked it would have"),
        ([1], "is not a checkpoint that fairseq-train wrote"),
        (
            {"model": {}, "cfg": {}, "optimizer_history": [], "extra_state": {}},
            "is not a checkpoint that fairseq-train wrote",
        ),
        (
            {"model": {}, "cfg": {}, "optimizer_history": [{}], "extra_state": {}},
            "is not a checkpoint of a translation model",
        ),
    ],
    ids=["text", "truncated", "zip", "tensors", "no updates", "no embeddings"],
)
def test_other_files_than_checkpoints_are_refused(
    content, message, evaluation, no_search, tmp_path
):
    path = tmp_path / "bad.zip"
    if content == "truncated":
        content = evaluation.checkpoint.read_bytes()[:-1000]
    if content == "zip":
        shutil.make_archive(str(path.with_suffix("")), "zip", evaluation.data)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(replace(evaluation, checkpoint=path))


class Payload:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["checkpoint.pt", "checkpoint_last.pt"])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    name, evaluation, no_search, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "run" / "checkpoint.pt"
    change_checkpoint(evaluation.checkpoint, path, lambda state: None)
    change_checkpoint(
        path, path.with_name(name), lambda state: state.update(payload=Payload(tmp_path / "ran"))
    )
    with pytest.raises(UserError, match=f"{name} is refused: .* could run code .*mkdir"):
        evaluation.evaluate(replace(evaluation, checkpoint=path))
    assert not (tmp_path / "ran").exists()
    torch.load(path.with_name(name), weights_only=False)
    assert (tmp_path / "ran").exists()


def other_subset(json_path: Path) -> None:
    content = json.loads(json_path.read_text())
    change_json(json_path, test_set={**content["test_set"], "subset": "valid"})


def other_references(json_path: Path) -> None:
    content = json.loads(json_path.read_text())
    change_json(json_path, test_set={**content["test_set"], "references_sha256": "0"})


def other_signature(json_path: Path) -> None:
    content = json.loads(json_path.read_text())
    change_json(json_path, signatures={**content["signatures"], "BLEU": "tok:intl"})


@pytest.mark.parametrize(
    "spoil, message",
    [
        (Path.unlink, "test.json: No such file"),
        (lambda path: path.write_text("{"), "is not a result of intra-distill evaluate"),
        (lambda path: path.write_text("{}"), "is not a result of intra-distill evaluate"),
        (lambda path: path.write_text("[]"), "is not a result of intra-distill evaluate"),
        (other_subset, "its subset is valid, not test"),
        (other_references, "its references, .*/test.ref.en, are others"),
        (other_signature, "its BLEU is tok:intl, not nrefs:1"),
        (lambda path: path.with_name("test.hyp.en").unlink(), "test.hyp.en.*is not there"),
        (
            lambda path: path.with_name("test.hyp.en").write_text("edited\n"),
            "test.hyp.en is no longer what was scored",
        ),
    ],
)
def test_baselines_that_do_not_fit_are_refused(
    spoil, message, evaluation, base, no_search, tmp_path
):
    baseline = shutil.copytree(base.parent, tmp_path / "base") / "test.json"
    spoil(baseline)
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(replace(evaluation, baseline=baseline))


def test_other_peoples_files_stay(evaluation, no_search):
    evaluation.results_path.mkdir()
    result = evaluation.results_path / "test.json"
    result.write_text('{"my": "own"}')
    with pytest.raises(UserError, match="test.json is not a result of intra-distill evaluate"):
        evaluation.evaluate(evaluation)
    assert result.read_text() == '{"my": "own"}'


def test_results_path_that_is_a_file_is_refused(evaluation, no_search):
    evaluation.results_path.write_text("")
    with pytest.raises(UserError, match="--results-path .*results: File exists"):
        evaluation.evaluate(evaluation)
