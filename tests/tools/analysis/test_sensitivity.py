import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from torch import Tensor
from torch.nn import functional

from intra_distill.checkpoints import load_model, read_checkpoint
from intra_distill.cli import main
from intra_distill.core.sensitivity import sensitivity as measure
from intra_distill.tools.analysis import sensitivity, systems
from intra_distill.tools.analysis.batches import Settings, choose_batches
from intra_distill.tools.analysis.parameter_scores import read_scores
from intra_distill.tools.analysis.sensitivity_report import kind_of, layer_of
from intra_distill.tools.analysis.training_data import open_training_data

from ...support.checkpoints import change_checkpoint
from ...support.training import LSTM, PLAIN, TINY_TRANSFORMER, run_training

BATCHES = ["--batches", "4", "--max-tokens", "60"]


@pytest.fixture
def run(prepared, tmp_path):
    """Checkpoints and options → where the results are."""

    def run(*paths: Path, options: list[str] = BATCHES, data: Path = prepared) -> Path:
        results = ["--results-path", str(tmp_path / "results"), "--cpu"]
        main(["sensitivity", str(data), "--path", *map(str, paths), *results, *options])
        return tmp_path / "results"

    return run


@pytest.fixture
def no_gradients(monkeypatch):
    monkeypatch.setattr(sensitivity, "sensitivity", lambda *_: pytest.fail("computed again"))


def equal(one: Path, other: Path) -> bool:
    ours, theirs = read_scores(one).tensors, read_scores(other).tensors
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_command(run, prepared, checkpoint, distilled, tmp_path, capsys):
    plot = tmp_path / "violins.png"
    results = run(checkpoint, distilled, options=[*BATCHES, "--plot", str(plot)])
    out = capsys.readouterr().out.splitlines()
    assert [line.split(" |")[0] for line in out[2:6]] == [
        "| plain",
        "| without the top 1 %",
        "| distilled",
        "| without the top 1 %",
    ]
    assert any(line.startswith("- batches of train de-en") for line in out)
    assert plot.read_bytes().startswith(b"\x89PNG")
    summary = json.loads((results / "sensitivity.json").read_text(encoding="utf-8"))
    systems = summary["systems"]
    assert list(systems) == ["plain", "distilled"]
    assert (
        systems["plain"]["options"]["sentences_sha256"]
        == (systems["distilled"]["options"]["sentences_sha256"])
    )
    for name, path in (("plain", checkpoint), ("distilled", distilled)):
        system = systems[name]
        scores = read_scores(results / system["scores"])
        state = torch.load(path, weights_only=True)
        shapes = {key: state["model"][key].shape for key in scores.tensors}
        assert {key: score.shape for key, score in scores.tensors.items()} == shapes
        values = torch.cat([score.flatten() for score in scores.tensors.values()]).double()
        assert system["all"]["all"]["mean"] == pytest.approx(float(values.mean()), rel=1e-9)
        assert system["all"]["all"]["sd"] == pytest.approx(
            float(values.std(correction=0)), rel=1e-9
        )
        assert system["loss"] == scores.loss
        # --share-all-embeddings: three names, one parameter
        assert "decoder.embed_tokens.weight" not in scores.tensors
        assert "decoder.output_projection.weight" not in scores.tensors
        parameters = system["all"]["parameters"]
        assert parameters == len(values) == sum(torch.Size(s).numel() for s in shapes.values())
        for grouping in ("kinds", "layers"):
            assert sum(part["parameters"] for part in system[grouping].values()) == parameters
    assert set(systems["plain"]["kinds"]) == {"embedding", "attention", "layer norm", "FFN"}
    layers = {"encoder.layers.0", "decoder.layers.0", "outside the layers"}
    assert set(systems["plain"]["layers"]) == layers
    assert "plain: SD" in "".join(out) and not list(results.glob("*.tmp"))


def test_all_batches_are_taken_where_there_are_too_few(run, prepared, checkpoint, capsys):
    results = run(checkpoint, options=["--batches", "5000", "--max-tokens", "50"])
    assert "(fewer than the 5000 asked for)" in capsys.readouterr().out
    scores = read_scores(results / "plain.sensitivity.pt")

    task = open_training_data(prepared).task
    task.load_dataset("train")
    dataset = task.dataset("train")
    batch = dataset.collater([dataset[i] for i in range(len(dataset))])
    (model,), _ = checkpoint_utils.load_model_ensemble([str(checkpoint)], task=task)
    epsilon = torch.load(checkpoint, weights_only=True)["cfg"]["criterion"].get(
        "label_smoothing", 0.0
    )
    criterion = LabelSmoothedCrossEntropyCriterion(task, False, epsilon)
    loss, tokens, _ = criterion(model.eval(), batch)
    (loss / tokens).backward()
    assert scores.loss == pytest.approx(loss.item() / tokens, rel=1e-5)
    for name, parameter in model.named_parameters():
        expected = (parameter * parameter.grad).abs().detach()
        torch.testing.assert_close(scores.tensors[name], expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("option", [[], ["--dropout"], ["--mean-of-absolute"]])
def test_scores_are_the_same_again_and_other_batches_give_others(option, run, checkpoint):
    options = [*BATCHES, *option]
    first = run(checkpoint, options=options) / "plain.sensitivity.pt"
    again = shutil.move(first, first.with_name("first.pt"))
    assert equal(run(checkpoint, options=options) / "plain.sensitivity.pt", again)
    assert not equal(run(checkpoint, options=[*options, "--seed", "2"]) / first.name, again)


def test_what_is_there_is_not_computed_again(run, checkpoint, monkeypatch, tmp_path, capsys):
    first = run(checkpoint)
    summary = (first / "sensitivity.json").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(sensitivity, "sensitivity", lambda *_: pytest.fail("computed again"))
        run(checkpoint, options=[*BATCHES, "--plot", str(tmp_path / "late.png")])
    assert (first / "sensitivity.json").read_text() == summary
    assert (tmp_path / "late.png").is_file()
    assert "plain.sensitivity.pt is of this checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--batches", "3", "--max-tokens", "60"],
        ["--batches", "4", "--max-tokens", "90"],
        [*BATCHES, "--seed", "2"],
        [*BATCHES, "--dropout"],
        [*BATCHES, "--mean-of-absolute"],
        [*BATCHES, "--gen-subset", "test"],
        None,
    ],
)
def test_what_changed_is_computed_again(options, run, checkpoint, tmp_path):
    old = read_scores(run(checkpoint) / "plain.sensitivity.pt")
    if options is None:
        checkpoint = change_checkpoint(
            checkpoint, tmp_path / "plain" / "other.pt", lambda state: state.update(new=0)
        )
    new = read_scores(run(checkpoint, options=options or BATCHES) / "plain.sensitivity.pt")
    assert (new.checkpoint_sha256, new.options) != (old.checkpoint_sha256, old.options)
    name = "encoder.layers.0.fc1.weight"
    assert torch.equal(new.tensors[name], old.tensors[name]) == (options is None)


@pytest.mark.parametrize(
    "model",
    [
        [*LSTM],
        [*"--arch switch_transformer_tiny --num-experts 2".split()],
        [*TINY_TRANSFORMER, "--share-decoder-input-output-embed"],
    ],
    ids=["lstm", "switch", "transformer"],
)
@pytest.mark.parametrize("dropout", [[], ["--dropout"]])
def test_any_translation_model(model, dropout, run, configure, data, tmp_path):
    run_training(configure(*PLAIN, "--max-update", "2", "--disable-validation", model=model))
    path = tmp_path / "checkpoints" / "checkpoint_last.pt"
    results = run(path, options=[*BATCHES, *dropout], data=Path(data))
    scores = read_scores(results / "checkpoints.sensitivity.pt")
    assert scores.options["label_smoothing"] == 0.1
    assert all(bool(score.isfinite().all()) for score in scores.tensors.values())
    assert sum(float(score.sum()) for score in scores.tensors.values()) > 0


def test_sensitivity_is_the_change_of_the_loss(prepared, checkpoint):
    """Equation (2) orders small groups of parameters as equation (1) does."""
    data = open_training_data(prepared)
    task = data.task
    batches = list(choose_batches(data, task, Settings("train", 4, 1, 200, False, False)))
    (model,), _ = checkpoint_utils.load_model_ensemble([str(checkpoint)], task=task)
    model.eval()
    criterion = LabelSmoothedCrossEntropyCriterion(task, False, 0.1)

    def loss_sums():
        return (criterion(model, batch)[:2] for batch in batches)

    @torch.no_grad()
    def loss() -> float:
        sums, tokens = zip(*loss_sums(), strict=True)
        return sum(x.double().item() for x in sums) / sum(tokens)

    scores, before = measure(model, loss_sums())
    assert before == pytest.approx(loss(), rel=1e-6)
    for total, _ in loss_sums():
        total.backward()
    parameters = list(model.parameters())
    sign = torch.cat([(p * p.grad).sign().flatten() for p in parameters]).detach()
    signed = torch.cat([score.flatten() for score in scores.values()]).double() * sign
    weights = torch.nn.utils.parameters_to_vector(parameters).detach()
    torch.manual_seed(1)
    predicted, true = [], []
    for size in [1, 2, 4, 8] * 15:
        group = torch.randperm(len(weights))[:size]
        zeroed = weights.clone().index_fill_(0, group, 0.0)
        torch.nn.utils.vector_to_parameters(zeroed, parameters)
        predicted.append(abs(float(signed[group].sum())))
        true.append(abs(loss() - before))
    ranks = torch.tensor([predicted, true]).argsort().argsort()
    assert torch.corrcoef(ranks.double())[0, 1] > 0.7


def test_the_label_smoothing_is_the_checkpoints_own(run, checkpoint, tmp_path):
    def smooth(state):
        state["cfg"]["criterion"] = argparse.Namespace(label_smoothing=0.3)

    path = change_checkpoint(checkpoint, tmp_path / "smooth" / "checkpoint.pt", smooth)
    results = run(checkpoint, path)
    plain, smoothed = (
        read_scores(results / f"{name}.sensitivity.pt") for name in ("plain", "smooth")
    )
    assert (plain.options["label_smoothing"], smoothed.options["label_smoothing"]) == (0.0, 0.3)
    assert smoothed.loss > plain.loss + 0.1


# Labelled text


def of_sentences(model: torch.nn.Module, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The outputs of a model and the targets, one for each sentence."""
    head = "sentence_classification_head"
    return model(**batch["net_input"], classification_head_name=head)[0], batch["target"].view(-1)


def of_words(model: torch.nn.Module, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """One for each word."""
    logits, _ = model(**batch["net_input"], token_head_name="tags")
    is_word = batch["target"] != 1
    return logits[is_word], batch["target"][is_word] - 4


def of_boundaries(model: torch.nn.Module, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The logits of the first and of the last symbol, over <s> and the window of the passage."""
    logits, _ = model(**batch["net_input"], token_head_name="span")
    symbols = torch.arange(logits.size(1))
    ends = batch["net_input"]["src_lengths"][:, None] - 1
    out = (symbols != 0) & ((symbols < 4) | (symbols >= ends))  # (B, T)
    rows = logits.masked_fill(out[..., None], -torch.inf).transpose(1, 2).flatten(0, 1)
    return rows, batch["target"].flatten()


KINDS = {
    "classes": ("classifier", of_sentences, functional.cross_entropy, "nats per sentence"),
    "numbers": (
        "regressor",
        of_sentences,
        lambda x, y: functional.mse_loss(x[:, 0], y),
        "squared error per sentence",
    ),
    "words": ("tagger", of_words, functional.cross_entropy, "nats per word"),
    "questions": (
        "answerer",
        of_boundaries,
        functional.cross_entropy,
        "nats per boundary of an answer",
    ),
}
NAMES = {"classes": "mrpc", "numbers": "sts-b", "words": "tiny", "questions": "tiny"}


@pytest.mark.parametrize("kind", KINDS)
def test_of_labelled_text_the_loss_is_the_mean_over_what_is_scored(kind, run, request):
    fixture, rows_of, loss_of, unit = KINDS[kind]
    data, path = map(request.getfixturevalue, (f"of_{kind}", fixture))
    results = run(path, options=["--batches", "500", "--max-tokens", "90"], data=data)
    scores = read_scores(results / "plain.sensitivity.pt")

    task = open_training_data(data).task_of(path, read_checkpoint(path))
    dataset = task.load_dataset("train")
    model = load_model(path, task).eval()
    mean = loss_of(*rows_of(model, dataset.collater([dataset[i] for i in range(len(dataset))])))
    mean.backward()
    loss = mean.item()
    assert scores.loss == pytest.approx(loss, rel=1e-5)
    for name, parameter in model.named_parameters():
        expected = (parameter * parameter.grad).abs().detach()
        torch.testing.assert_close(scores.tensors[name], expected, rtol=1e-3, atol=1e-6)
    assert "label_smoothing" not in scores.options
    content = json.loads((results / "sensitivity.json").read_text())
    assert content["notes"][0] == f"sensitivity |θ ⊙ ḡ| in {unit}, dropout off"
    assert content["notes"][1].startswith(
        f"batches of train {NAMES[kind]}, up to 90 tokens each: all "
    )
    parts = content["systems"]["plain"]
    assert {"embedding", "attention", "FFN", "layer norm", "prediction head"} == set(parts["kinds"])
    assert "encoder.layers.0" in parts["layers"]


def test_subsets_without_labels_are_refused(run, of_classes, classifier, no_gradients):
    with pytest.raises(SystemExit, match="no subset 'test', only train, valid, valid1"):
        run(classifier, options=["--gen-subset", "test"], data=of_classes)


def test_models_of_the_other_kind_are_refused(
    run, of_classes, of_numbers, classifier, checkpoint, prepared, no_gradients
):
    for data, path, message in [
        (of_classes, checkpoint, "is not a checkpoint of a model that predicts labels"),
        (prepared, classifier, "is not a checkpoint of a translation model"),
        (of_numbers, classifier, "it predicts 2 classes, .* has numbers"),
    ]:
        with pytest.raises(SystemExit, match=message):
            run(path, data=data)


# Names


@pytest.mark.parametrize(
    "path, name",
    [
        ("runs/intra_x/checkpoint_best.pt", "intra_x"),
        ("runs/intra_x/seed12/checkpoint_best.pt", "intra_x"),
        ("runs/seedling/checkpoint_best.pt", "seedling"),
    ],
)
def test_system_names(path, name):
    assert systems.system_name(Path(path)) == name


def test_names_are_given(run, checkpoint, distilled):
    results = run(checkpoint, distilled, options=[*BATCHES, "--names", "A,B"])
    assert sorted(path.name for path in results.iterdir()) == [
        "A.sensitivity.pt",
        "B.sensitivity.pt",
        "sensitivity.json",
    ]


@pytest.mark.parametrize(
    "name, kind, layer",
    [
        ("encoder.embed_tokens.weight", "embedding", "outside the layers"),
        ("decoder.embed_positions.weight", "embedding", "outside the layers"),
        ("encoder.layernorm_embedding.weight", "layer norm", "outside the layers"),
        ("decoder.output_projection.weight", "output projection", "outside the layers"),
        ("encoder.layers.10.self_attn.k_proj.weight", "attention", "encoder.layers.10"),
        ("decoder.layers.1.encoder_attn_layer_norm.bias", "layer norm", "decoder.layers.1"),
        ("decoder.layers.1.encoder_attn.out_proj.bias", "attention", "decoder.layers.1"),
        ("decoder.layers.1.final_layer_norm.bias", "layer norm", "decoder.layers.1"),
        ("encoder.layers.0.fc1.weight", "FFN", "encoder.layers.0"),
        ("encoder.layers.0.router.weight", "other", "encoder.layers.0"),
        ("encoder.lstm.weight_ih_l0", "other", "outside the layers"),
        ("decoder.attention.input_proj.weight", "attention", "outside the layers"),
        ("decoder.fc_out.weight", "output projection", "outside the layers"),
    ],
)
def test_parts(name, kind, layer):
    assert (kind_of(name), layer_of(name)) == (kind, layer)


# What is refused


@pytest.mark.parametrize(
    "options, message",
    [
        (["--max-tokens", "1"], "train has no sentence of at most 1 tokens"),
        (["--gen-subset", "tset"], "has no subset 'tset', only test, test1, train$"),
    ],
)
def test_bad_options_are_refused(options, message, run, checkpoint, no_gradients, tmp_path):
    with pytest.raises(SystemExit, match=message) as ending:
        run(checkpoint, options=options)
    assert "\n" not in str(ending.value) and not (tmp_path / "results").exists()


def test_two_systems_of_one_name_are_refused(run, checkpoint, no_gradients):
    with pytest.raises(SystemExit, match="are both called plain: tell them apart by --names"):
        run(checkpoint, checkpoint)


def test_bad_checkpoints_are_refused_before_any_work(run, checkpoint, no_gradients, tmp_path):
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(SystemExit, match="is not a PyTorch checkpoint"):
        run(checkpoint, tmp_path / "text.pt")


def test_other_data_is_refused(run, checkpoint, data, no_gradients):
    with pytest.raises(SystemExit, match="is of other data: its encoder knows"):
        run(checkpoint, data=Path(data))


def test_sentences_longer_than_the_model_takes_are_refused(run, checkpoint, tmp_path):
    def shorten(state):
        state["cfg"]["model"].max_target_positions = 4

    path = change_checkpoint(checkpoint, tmp_path / "run" / "short.pt", shorten)
    message = r"takes 4 target tokens and a sentence has \d+: .* by --max-tokens 4$"
    with pytest.raises(SystemExit, match=message):
        run(path)
    run(path, options=["--max-tokens", "4"])


def test_a_model_that_is_no_number_is_refused_and_the_others_are_kept(run, checkpoint, tmp_path):
    def spoil(state):
        state["model"]["encoder.layers.0.fc1.weight"][0, 0] = torch.nan

    path = change_checkpoint(checkpoint, tmp_path / "nan" / "checkpoint.pt", spoil)
    with pytest.raises(
        SystemExit, match="nan/checkpoint.pt: the sensitivity of .* NaN or infinite"
    ):
        run(checkpoint, path)
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["plain.sensitivity.pt"]


def test_other_peoples_files_stay(run, checkpoint, no_gradients, tmp_path):
    (tmp_path / "results").mkdir()
    mine = tmp_path / "results" / "plain.sensitivity.pt"
    mine.write_text("my own")
    with pytest.raises(SystemExit, match="plain.sensitivity.pt does not hold the scores"):
        run(checkpoint)
    assert mine.read_text() == "my own"
