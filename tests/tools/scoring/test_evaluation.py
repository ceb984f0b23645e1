"""An evaluation: what its result says, when it is taken up again, and what it refuses."""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import sentencepiece
import torch
from fairseq.data import Dictionary, indexed_dataset
from fairseq.sequence_generator import SequenceGenerator

from intra_distill.checkpoints import read_checkpoint
from intra_distill.cli import main
from intra_distill.cli.evaluate import print_result
from intra_distill.errors import UserError
from intra_distill.tools.preparation.subwords import binarise
from intra_distill.tools.scoring import evaluation, evaluator, search, translations
from intra_distill.tools.scoring.evaluation import Evaluation
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import Result, read_result
from intra_distill.tools.scoring.search import Search, Translation

from ...support.checkpoints import change_checkpoint
from ...support.payload import Payload
from ...support.prepared import translate_words


def evaluate(asked: Evaluation) -> Result:
    """Evaluate on one subset."""
    (result,) = evaluation.evaluate(asked)
    return result


@pytest.fixture
def no_search(monkeypatch):
    """Fail where anything is translated."""
    monkeypatch.setattr(translations, "translate", lambda *_: pytest.fail("translated"))


@pytest.fixture
def asked(prepared, checkpoint, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(prepared, tmp_path / "data")
    return Evaluation(data, checkpoint, tmp_path / "results")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def as_written(result: Result) -> dict:
    return json.loads(json.dumps(asdict(result)))


def change_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_result(prepared, checkpoint, base):
    result = json.loads(base.read_text(encoding="utf-8"))
    hypotheses = base.with_name("test.hyp.en")
    trained = torch.load(checkpoint, weights_only=True)
    embeddings = trained["model"]["encoder.embed_tokens.weight"]
    arguments = result["search"].pop("generator_arguments")
    assert arguments[0] == str(prepared)
    assert " ".join(arguments).count(f"--path {checkpoint} --beam 5 --lenpen 1.0") == 1
    signatures = result.pop("signatures")
    assert list(result.pop("scores")) == list(signatures) == ["BLEU", "chrF"]
    assert result.pop("versions")["torch"] == torch.__version__
    assert all("|case:lc|" in signature for signature in signatures.values())
    assert result == {
        "system": "plain",
        "overrides": [],
        "task": "translation",
        "primary_metric": "BLEU",
        "significance": None,
        "test_set": {
            "data": str(prepared),
            "subset": "test",
            "dataset": "de-en",
            "sentences": 19,
            "input_sha256": {"test.de-en.de.bin": digest(prepared / "test.de-en.de.bin")},
            "references": "test.ref.en",
            "references_sha256": digest(prepared / "test.ref.en"),
            "text": {
                "source_lang": "de",
                "target_lang": "en",
                "lowercase": True,
                "sentencepiece_text": "train",
                "post_process": "sentencepiece",
                "detokenizer": None,
                "source": "test.src.de",
                "source_sha256": digest(prepared / "test.src.de"),
            },
            "classes": None,
        },
        "checkpoint": {
            "path": str(checkpoint),
            "sha256": digest(checkpoint),
            "seed": 4,
            "updates": 150,
            "training_seconds": trained["extra_state"]["previous_training_time"],
            # embeddings; 3 attentions of 4 projections; 2 × (16·32 + 32·16); biases and norms
            "parameters": embeddings.numel()
            + 3 * 4 * (16 * 16 + 16)
            + 2 * (2 * 16 * 32 + 32 + 16)
            + 5 * 2 * 16,
            "num_passes": 1,
        },
        "members": [],
        "tokenizer": "13a",
        "search": {
            "beam": 5,
            "lenpen": 1.0,
            "max_len_a": None,
            "max_len_b": None,
            "cut_hypotheses": sum(line.count(" ") > 150 for line in lines_of(hypotheses)),
            "unknown_hypotheses": 0,
            "nbest": 1,
        },
        "segment_scores": {},
        "output": "test.hyp.en",
        "output_sha256": digest(hypotheses),
    }


def test_the_text_is_beside_the_result_and_comes_back(prepared, checkpoint, base, no_search):
    for name in ("test.src.de", "test.ref.en"):
        copy = base.with_name(name)
        assert copy.read_bytes() == (prepared / name).read_bytes()
        copy.unlink()
        evaluate(Evaluation(prepared, checkpoint, base.parent))
        assert copy.read_bytes() == (prepared / name).read_bytes()


def test_results_may_be_in_the_data_directory(done, no_search):
    for path in done.results_path.iterdir():
        shutil.copy(path, done.data)
    before = (done.data / "test.ref.en").read_bytes()
    evaluate(replace(done, results_path=done.data))
    assert (done.data / "test.ref.en").read_bytes() == before


def test_hypotheses_are_in_corpus_order(prepared, checkpoint, base, tmp_path):
    hypotheses = lines_of(base.with_name("test.hyp.en"))
    references = lines_of(prepared / "test.ref.en")
    pairs = list(zip(hypotheses, references, strict=True))
    right = [hypothesis.split()[:1] == reference.split()[:1] for hypothesis, reference in pairs]
    assert sum(right) > len(pairs) / 2

    evaluate(Evaluation(prepared, checkpoint, tmp_path, ("test1",), inference=Inference(12)))
    assert lines_of(tmp_path / "test1.hyp.en") == hypotheses[::-1]


def test_in_corpus_order_keeps_what_is_in_the_line():
    output = "S-1\tx\nD-1\t-0.5\ta\tb\u2028c\nH-0\t-0.1\t▁d\nD-0\t-0.1\t\nGenerate: D-2"
    hypotheses = search.in_corpus_order(output, 2, 1)
    assert hypotheses == [[("-0.1", "")], [("-0.5", "a\tb\u2028c")]]


@pytest.mark.parametrize("numbers", [[0], [0, 0], [1, 2], [0, 1, 1]])
def test_in_corpus_order_wants_each_sentence_once(numbers):
    output = "".join(f"D-{number}\t-0.5\ta\n" for number in numbers)
    with pytest.raises(RuntimeError, match="up to 1 for each of the 2 sentences"):
        search.in_corpus_order(output, 2, 1)


def test_scores_and_significance_are_those_of_sacrebleu(prepared, distilled, base, tmp_path):
    result = evaluate(
        Evaluation(prepared, distilled, tmp_path, search=Search(beam=2), baseline=base)
    )
    assert (result.system, result.checkpoint.num_passes) == ("distilled", 2)
    assert result == read_result(tmp_path / "test.json")

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
    again = evaluate(Evaluation(prepared, checkpoint, base.parent))
    assert base.stat().st_mtime_ns == written
    assert as_written(again) == json.loads(base.read_text())
    assert f"{base} is of this checkpoint" in capsys.readouterr().out


def test_a_done_evaluation_can_be_named_and_compared(
    prepared, checkpoint, base, no_search, tmp_path, monkeypatch
):
    copied = shutil.copytree(base.parent, tmp_path / "copy")
    name = "intra_x+task.num_passes=5+criterion.alpha=1"
    again = Evaluation(prepared, checkpoint, copied, name=name, baseline=base)
    result = evaluate(again)
    assert as_written(result) == json.loads((copied / "test.json").read_text())
    assert (result.system, result.significance["baseline"]) == (name, str(base))
    assert result.overrides == ["task.num_passes=5", "criterion.alpha=1"]
    assert [test["p_value"] for test in result.significance["tests"].values()] == [1, 1]

    monkeypatch.setattr(evaluation, "significance", lambda *_: pytest.fail("compared again"))
    assert evaluate(again) == result


@pytest.fixture
def done(asked, base) -> Evaluation:
    """What was asked for, which is evaluated already."""
    shutil.copytree(base.parent, asked.results_path)
    test_set = json.loads(base.read_text())["test_set"]
    path = asked.results_path / "test.json"
    change_json(path, test_set={**test_set, "data": str(asked.data)})
    return asked


@pytest.mark.parametrize(
    "stale", ["beam", "lenpen", "hypotheses", "checkpoint", "references", "source"]
)
def test_what_changed_is_done_again(stale, done, monkeypatch, tmp_path):
    if stale in ("beam", "lenpen"):
        done = replace(done, search=Search(**{stale: 2}))
    elif stale == "hypotheses":
        (done.results_path / "test.hyp.en").unlink()
    elif stale == "checkpoint":
        other = tmp_path / "plain" / "checkpoint_last.pt"
        change_checkpoint(done.checkpoint, other, lambda state: state.update(new=0))
        done = replace(done, checkpoint=other)
    else:
        file = {"references": "test.ref.en", "source": "test.de-en.de.bin"}[stale]
        shutil.copy(done.data / file.replace("test", "test1"), done.data / file)
    monkeypatch.setattr(
        translations, "translate", lambda cfg, n, grows: Translation(["new"] * n, 0, 0)
    )
    evaluate(done)
    assert lines_of(done.results_path / "test.hyp.en") == ["new"] * 19


def test_another_tokeniser_scores_the_same_translations(done, no_search):
    by_word = evaluate(done)
    by_character = evaluate(replace(done, tokenizer="char"))
    assert "|tok:char|" in by_character.signatures["BLEU"]
    assert by_character.scores["BLEU"] > by_word.scores["BLEU"]
    assert by_character.scores["chrF"] == by_word.scores["chrF"]
    assert read_result(done.results_path / "test.json") == by_character
    assert evaluate(done) == by_word


def test_other_metrics_score_the_same_translations_and_stay(done, base, no_search):
    before = read_result(base)
    asked = replace(done, metrics=("TER", "tokenised-BLEU", "BLEU"))
    result = evaluate(asked)
    assert list(result.scores) == list(result.signatures) == list(asked.metrics)
    assert result.primary_metric == "TER" and result.scores["BLEU"] == before.scores["BLEU"]
    assert read_result(done.results_path / "test.json") == result == evaluate(done)
    compared = evaluate(replace(done, baseline=base))  # which was scored in others
    assert list(compared.significance["tests"]) == list(asked.metrics)
    reordered = evaluate(replace(done, metrics=asked.metrics[::-1]))
    assert reordered.primary_metric == "BLEU" and reordered.scores == result.scores


def test_metrics_of_another_checkpoint_do_not_stay(done, distilled, no_search, monkeypatch):
    evaluate(replace(done, metrics=("TER",)))
    monkeypatch.setattr(translations, "translate", lambda _, n, grows: Translation(["a"] * n, 0, 0))
    assert list(evaluate(replace(done, checkpoint=distilled)).scores) == ["BLEU", "chrF"]


# N-best lists and ensembles


def test_the_nbest_list_is_beside_the_translations(prepared, checkpoint, base, tmp_path):
    asked = Evaluation(prepared, checkpoint, tmp_path, search=Search(nbest=3))
    result = evaluate(asked)
    assert result.search.nbest == 3 and result.scores == read_result(base).scores
    rows = [line.split("\t") for line in lines_of(tmp_path / "test.nbest.en")]
    assert [int(number) for number, _, _ in rows] == [n for n in range(19) for _ in range(3)]
    assert [text for _, _, text in rows[::3]] == lines_of(tmp_path / "test.hyp.en")
    scores = [float(score) for _, score, _ in rows]
    assert all(scores[i] >= scores[i + 1] >= scores[i + 2] for i in range(0, len(rows), 3))


def test_an_nbest_list_is_made_where_there_is_none_and_goes_with_its_translations(
    done, monkeypatch
):
    calls = []

    def translate(cfg, sentences, _):
        calls.append(cfg.generation.nbest)
        found = [[search.Hypothesis("-0.1", "a")] * cfg.generation.nbest] * sentences
        return Translation(["a"] * sentences, 0, 0, found)

    monkeypatch.setattr(translations, "translate", translate)
    nbest = done.results_path / "test.nbest.en"
    asked = replace(done, search=Search(nbest=2))
    for again in (asked, asked, done):
        evaluate(again)
        assert calls == [2] and len(lines_of(nbest)) == 2 * 19
    nbest.unlink()
    evaluate(asked)
    assert calls == [2, 2] and nbest.exists()
    evaluate(replace(done, search=Search(beam=2)))
    assert not nbest.exists()


def test_an_ensemble_is_fairseqs_own(prepared, checkpoint, distilled, base, tmp_path):
    both = Evaluation(prepared, checkpoint, tmp_path / "both", ensemble=(distilled,))
    result = evaluate(both)
    assert (
        result == read_result(tmp_path / "both/test.json") and result.system == "plain & distilled"
    )
    arguments = result.search.generator_arguments
    assert arguments[arguments.index("--path") + 1] == f"{checkpoint}:{distilled}"
    first, second = result.members
    assert first == read_result(base).checkpoint and second.num_passes == 2
    assert (first.sha256, second.sha256) == (digest(checkpoint), digest(distilled))
    whole = result.checkpoint
    assert (whole.seed, whole.updates, whole.num_passes) == (4, 150, 2)
    assert whole.parameters == first.parameters + second.parameters
    assert whole.training_seconds == first.training_seconds + second.training_seconds

    output = io.StringIO()
    with search.watch_search(default_limit=True):
        search.generate._main(search.generator_config(arguments), output)
    own = search.in_corpus_order(output.getvalue(), 19, 1)
    translated = lines_of(tmp_path / "both" / "test.hyp.en")
    assert translated == [text for ((_, text),) in own] != lines_of(base.with_name("test.hyp.en"))


def test_an_ensemble_is_not_its_first_member(done, distilled, monkeypatch):
    """Its result is reused for the same checkpoints alone."""
    monkeypatch.setattr(translations, "translate", lambda _, n, grows: Translation(["a"] * n, 0, 0))
    both = replace(done, ensemble=(distilled,), name="both")
    result = evaluate(both)
    monkeypatch.setattr(translations, "translate", lambda *_: pytest.fail("translated"))
    assert evaluate(both) == result
    with pytest.raises(pytest.fail.Exception, match="translated"):
        evaluate(done)


def test_a_path_that_fairseq_would_split_is_refused(asked, tmp_path):
    path = shutil.copy(asked.checkpoint, tmp_path / "a:b.pt")
    with pytest.raises(UserError, match="a:b.pt has a ':', where fairseq would split it: rename"):
        evaluate(replace(asked, checkpoint=Path(path)))


# The limit of length


@pytest.fixture
def lengths(monkeypatch) -> dict[int, int]:
    """The pieces of each hypothesis of the search that comes, by the number of its sentence."""
    lengths = {}
    in_corpus_order = search.in_corpus_order

    def note(output: str, sentences: int, nbest: int) -> list[list[search.Hypothesis]]:
        for number, scores in re.findall(r"^P-(\d+)\t(.*)$", output, re.MULTILINE):
            lengths[int(number)] = len(scores.split()) - 1  # but for </s>
        return in_corpus_order(output, sentences, nbest)

    monkeypatch.setattr(search, "in_corpus_order", note)
    return lengths


@pytest.fixture
def without_end(monkeypatch) -> None:
    """The model ends no hypothesis before it has to."""
    generate = SequenceGenerator.generate

    def search_on(generator, models, sample, **kwargs):
        source = sample["net_input"]["src_tokens"].size(1)
        generator.min_len = int(generator.max_len_a * source + generator.max_len_b)
        return generate(generator, models, sample, **kwargs)

    monkeypatch.setattr(SequenceGenerator, "generate", search_on)


@pytest.fixture
def write_subset(asked) -> Callable[[list[str]], None]:
    """Write German sentences and their translations as the subset ``long`` of the data."""

    def write_subset(sentences: list[str]) -> None:
        data = asked.data
        model = sentencepiece.SentencePieceProcessor(model_file=str(data / "sentencepiece.model"))
        dictionary = Dictionary.load(str(data / "dict.de.txt"))
        for lang, lines in {"de": sentences, "en": map(translate_words, sentences)}.items():
            binarise(model, dictionary, lines, data / f"long.de-en.{lang}", "nmt_nfkc", 1)
        (data / "long.src.de").write_text("".join(f"{s}\n" for s in sentences))
        (data / "long.ref.en").write_text("".join(f"{translate_words(s)}\n" for s in sentences))

    return write_subset


@pytest.fixture
def long(asked, write_subset) -> Evaluation:
    """Of a subset with a sentence of 130 words and one of 3."""
    write_subset(["ein hund läuft " * 44, "ein hund läuft"])
    return replace(asked, subsets=("long",), search=Search(beam=2), inference=Inference(150))


def pieces_with_end(asked: Evaluation) -> list[int]:
    """Of each source sentence."""
    source = f"{asked.data}/{asked.subsets[0]}.de-en.de"
    return [len(tokens) for tokens in indexed_dataset.MMapIndexedDataset(source)]


def test_a_hypothesis_may_be_as_long_as_its_source_asks(long, lengths, without_end, capsys):
    result = evaluate(long)
    source, _ = pieces_with_end(long)
    assert lengths == {0: 2 * source, 1: 200} and source > 130
    assert result.search.cut_hypotheses == 2
    print_result(result)
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
    result = evaluate(replace(long, search=replace(long.search, max_len_a=a, max_len_b=b)))
    if limits is None:
        limits = {n: int(a * size + b) for n, size in enumerate(pieces_with_end(long))}
    assert lengths == limits and result.search.cut_hypotheses == 2
    assert result.search.limit_of_length == words
    arguments = " ".join(result.search.generator_arguments)
    assert f"--max-len-a {a or 0} --max-len-b {200 if b is None else b} " in arguments


def test_of_two_sentences_there_is_no_p_value(long, distilled, tmp_path, capsys):
    evaluate(replace(long, results_path=tmp_path / "plain"))
    baseline = tmp_path / "plain" / "long.json"
    other = replace(long, checkpoint=distilled, results_path=tmp_path / "other", baseline=baseline)
    result = evaluate(other)
    assert evaluate(other) == result  # as it is read back
    tests = result.significance["tests"]
    assert [test["p_value"] for test in tests.values()] == [None, None]
    print_result(result)
    assert "BLEU: no p-value: 2 sentences are too few to resample" in capsys.readouterr().out


def test_what_the_model_ends_by_itself_is_not_cut(prepared, checkpoint, base, lengths, tmp_path):
    for limit in (1, 3, 199, 200):
        cut = Search(max_len_b=limit)
        result = evaluate(Evaluation(prepared, checkpoint, tmp_path / str(limit), search=cut))
        assert result.search.cut_hypotheses == sum(length == limit for length in lengths.values())
        assert max(lengths.values()) <= limit
    assert lines_of(tmp_path / "200" / "test.hyp.en") == lines_of(base.with_name("test.hyp.en"))
    assert result.search.cut_hypotheses == read_result(base).search.cut_hypotheses < 19


def test_unknown_pieces_in_hypotheses_are_counted(
    prepared, checkpoint, tmp_path, monkeypatch, capsys
):
    generate = SequenceGenerator.generate

    def search_badly(generator, *args, **kwargs):
        batch = generate(generator, *args, **kwargs)
        batch[0][0]["tokens"][0] = generator.unk
        return batch

    monkeypatch.setattr(SequenceGenerator, "generate", search_badly)
    result = evaluate(Evaluation(prepared, checkpoint, tmp_path, inference=Inference(20)))
    unknown = sum("<unk>" in line for line in lines_of(tmp_path / "test.hyp.en"))
    assert result.search.unknown_hypotheses == unknown > 1
    print_result(result)
    assert f"{unknown} of 19 hypotheses have an <unk>" in capsys.readouterr().out
    assert SequenceGenerator.generate is search_badly  # the watch is over


def test_training_time_is_of_the_last_checkpoint(asked, tmp_path):
    def set_time(seconds):
        return lambda state: state["extra_state"].update(previous_training_time=seconds)

    best = change_checkpoint(asked.checkpoint, tmp_path / "run" / "best.pt", set_time(1.0))
    assert evaluator.training_seconds(best, read_checkpoint(best)) == 1.0
    change_checkpoint(best, best.with_name("checkpoint_last.pt"), set_time(2.0))
    assert evaluator.training_seconds(best, read_checkpoint(best)) == 2.0


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage(path: Path) -> None:
    """Overwrite a sector in the middle."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[:512] = content[middle : middle + 512] = bytes(512)
    path.write_bytes(content)


def without_time(path: Path) -> None:
    change_checkpoint(path, path, lambda state: state["extra_state"].clear())


def with_nan(path: Path) -> None:
    change_checkpoint(
        path, path, lambda state: state["extra_state"].update(previous_training_time=float("nan"))
    )


@pytest.mark.parametrize("name", ["checkpoint_last.pt", "checkpoint_best.pt"])
@pytest.mark.parametrize("spoil", [cut, damage, without_time, with_nan])
def test_without_the_training_time_a_checkpoint_is_evaluated(
    spoil, name, asked, capsys, monkeypatch, tmp_path
):
    """It is secondary, wherever it stands; the checkpoint itself must be whole."""
    best = tmp_path / "run" / "checkpoint_best.pt"
    best.parent.mkdir()
    for file in (best, best.with_name("checkpoint_last.pt")):
        shutil.copy(asked.checkpoint, file)
    spoiled = best.with_name(name)
    spoil(spoiled)
    monkeypatch.setattr(translations, "translate", lambda cfg, n, _: Translation(["x"] * n, 0, 0))
    asked = replace(asked, checkpoint=best)
    if spoiled == best and spoil in (cut, damage):
        with pytest.raises(UserError, match=f"{best} is not a PyTorch checkpoint"):
            evaluate(asked)
        return
    result = evaluate(asked)
    errors = capsys.readouterr().err.splitlines()
    if spoiled == best:  # the last checkpoint has the time
        assert result.checkpoint.training_seconds > 0 and not errors
        best.with_name("checkpoint_last.pt").unlink()
        result = evaluate(replace(asked, results_path=tmp_path / "again"))
        errors = capsys.readouterr().err.splitlines()
    assert result.checkpoint.training_seconds is None
    (warning,) = errors
    assert warning.startswith(f"the training time is unknown: {spoiled} ")
    assert read_result(asked.results_path / "test.json").checkpoint.updates == 150


def test_command(asked, capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    arguments = ["evaluate", str(asked.data), "--path", str(asked.checkpoint), "--cpu"]
    arguments += ["--results-path", str(asked.results_path), "--gen-subset", "test1"]
    main([*arguments, "--name", "a system", "--beam", "2"])
    out, err = capsys.readouterr()
    title, bleu, chrf, *_ = out.splitlines()
    assert title == "a system, test1 de-en, 19 sentences"
    assert bleu.startswith("BLEU = ") and "|case:lc|eff:no|tok:13a|" in bleu
    assert chrf.startswith("chrF = ") and "|nc:6|nw:0|" in chrf
    assert err == ""

    main([*arguments, "--beam", "2", "--metrics", "TER", "chrF++", "TER"])
    _, title, ter, chrf, *more = capsys.readouterr().out.splitlines()
    assert title.startswith("plain, test1") and len(more) == 4  # what other programs can score
    assert ter.startswith("TER = ") and "|tok:tercom|" in ter
    assert chrf.startswith("chrF++ = ") and "|nc:6|nw:2|" in chrf


# What is refused


@pytest.mark.parametrize("missing", ["dict.de.txt", "dict.en.txt"])
def test_data_that_is_not_prepared_is_refused(missing, asked, no_search):
    (asked.data / missing).unlink()
    with pytest.raises(UserError, match=f"data has no {missing}: make it by intra-distill prepare"):
        evaluate(asked)


@pytest.mark.parametrize("name", ["test.src.de", "test.ref.en"])
def test_text_of_other_data_is_refused(name, asked, no_search):
    with (asked.data / name).open("a") as text:
        text.write("one more\n")
    with pytest.raises(UserError, match=f"{name} has 20 lines for 19 sentences: prepare"):
        evaluate(asked)


def test_data_without_the_source_as_text_is_refused(asked, no_search):
    (asked.data / "test.src.de").unlink()
    with pytest.raises(UserError, match=r"has no test\.src\.de.*: delete .* and prepare it again"):
        evaluate(asked)


def test_dictionary_of_other_data_is_refused(asked, no_search):
    with (asked.data / "dict.en.txt").open("a") as dictionary:
        dictionary.write("new 1\n")
    types = len((asked.data / "dict.de.txt").read_text().splitlines()) + 4
    message = f"decoder knows {types} types, .*/dict.en.txt makes {types + 1}$"
    with pytest.raises(UserError, match=message):
        evaluate(asked)


def test_sentences_longer_than_the_model_takes_are_refused(asked, no_search, tmp_path):
    def shorten(state):
        state["cfg"]["model"].max_source_positions = 4

    path = change_checkpoint(asked.checkpoint, tmp_path / "run" / "short.pt", shorten)
    message = r"line \d+ of test has \d+ source tokens, the model takes 4"
    with pytest.raises(UserError, match=message):
        evaluate(replace(asked, checkpoint=path))


def test_a_model_that_takes_more_than_fairseqs_default_is_used_to_its_limit(
    asked, write_subset, tmp_path
):
    """1,024 positions are the default of the task that searches, whatever the model takes."""
    write_subset(["ein hund läuft " * 350, "ein hund"])

    def extend(state):
        state["cfg"]["model"].max_source_positions = 3000
        state["cfg"]["model"].max_target_positions = 3000

    path = change_checkpoint(asked.checkpoint, tmp_path / "run" / "longer.pt", extend)
    long = Search(beam=1, max_len_a=0, max_len_b=3)
    asked = replace(asked, subsets=("long",), search=long, inference=Inference(3000))
    result = evaluate(replace(asked, checkpoint=path))
    assert pieces_with_end(asked)[0] > 1024
    assert len((asked.results_path / result.output).read_text().splitlines()) == 2


def test_code_in_a_checkpoint_is_refused_and_not_run(
    asked, no_search, tmp_path, monkeypatch, capsys
):
    """Beside the checkpoint, it only leaves the training time unknown."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, payload = tmp_path / "run" / "checkpoint.pt", Payload(tmp_path / "ran")
    last = path.with_name("checkpoint_last.pt")
    change_checkpoint(asked.checkpoint, path, lambda state: None)
    change_checkpoint(path, last, lambda state: state.update(payload=payload))
    assert evaluator.training_seconds(path, read_checkpoint(path)) is None
    assert re.search(f"unknown: {last} is refused: .* could run code", capsys.readouterr().err)
    with pytest.raises(UserError, match=f"{last} is refused: .* could run code .*mkdir"):
        evaluate(replace(asked, checkpoint=last))
    assert not (tmp_path / "ran").exists()


def other(part: str, **changes: str):
    """What changes a part of a result's JSON."""
    return lambda path: change_json(
        path, **{part: {**json.loads(path.read_text())[part], **changes}}
    )


@pytest.mark.parametrize(
    "spoil, message",
    [
        (other("test_set", subset="valid"), "its subset is valid, not test"),
        (
            other("test_set", references_sha256="0"),
            "its references, test.ref.en of .*, are different",
        ),
        (other("signatures", BLEU="tok:intl"), "its BLEU is tok:intl, not nrefs:1"),
        (lambda path: path.with_name("test.hyp.en").unlink(), "test.hyp.en.*is not there"),
        (
            lambda path: path.with_name("test.hyp.en").write_text("edited\n"),
            "test.hyp.en is no longer what was scored",
        ),
    ],
)
def test_baselines_that_do_not_fit_are_refused(spoil, message, asked, base, no_search, tmp_path):
    baseline = shutil.copytree(base.parent, tmp_path / "base") / "test.json"
    spoil(baseline)
    with pytest.raises(UserError, match=message):
        evaluate(replace(asked, baseline=baseline))


def test_other_peoples_files_stay(asked, no_search):
    asked.results_path.mkdir()
    result = asked.results_path / "test.json"
    result.write_text('{"my": "own"}')
    with pytest.raises(UserError, match="test.json is not a result of intra-distill evaluate"):
        evaluate(asked)
    assert result.read_text() == '{"my": "own"}'
