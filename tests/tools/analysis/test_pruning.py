import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from intra_distill.checkpoints import read_checkpoint
from intra_distill.cli import main, prune
from intra_distill.files import sha256
from intra_distill.tools.analysis import pruning
from intra_distill.tools.analysis.parameter_scores import read_scores, write_scores
from intra_distill.tools.scoring import translations as translations_module
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.results import read_result
from intra_distill.tools.scoring.search import Search, Translation

from ...support.checkpoints import change_checkpoint, fairseq_generate, train_model


@pytest.fixture(scope="module")
def scores(prepared, checkpoint, distilled, tmp_path_factory) -> dict[Path, Path]:
    """The files of sensitivities by checkpoint."""
    folder = tmp_path_factory.mktemp("sensitivity")
    paths = [checkpoint, distilled]
    main(
        ["sensitivity", str(prepared), "--path", *map(str, paths), "--batches", "2"]
        + ["--results-path", str(folder), "--cpu"]
    )
    return {path: folder / f"{path.parent.name}.sensitivity.pt" for path in paths}


@pytest.fixture
def run(prepared, checkpoint, scores, tmp_path):
    """Options → the content of prune.json, for ``checkpoint`` and its sensitivities."""

    def run(*options, systems=(checkpoint,), sensitivity=None):
        files = [scores[path] for path in systems] if sensitivity is None else sensitivity
        arguments = ["prune", prepared, "--path", *systems, "--results-path", tmp_path / "pruned"]
        arguments += ["--sensitivity", *files] if files else []
        main([*map(str, arguments), "--beam", "2", "--cpu", *map(str, options)])
        return json.loads((tmp_path / "pruned" / "prune.json").read_text())

    return run


@pytest.fixture
def translations(monkeypatch) -> list[str]:
    """The folders of what is to be translated; instead of a search, all hypotheses are alike."""
    translated = []

    def make_result(checkpoint, system, *rest):
        translated.append(system)
        return original(checkpoint, system, *rest)

    original = pruning.make_result
    monkeypatch.setattr(pruning, "make_result", make_result)
    monkeypatch.setattr(
        translations_module, "translate", lambda _, n, grows: Translation(["a man"] * n, 0, 0)
    )
    return translated


def parameters(path: Path) -> torch.Tensor:
    """All parameters that a checkpoint has, in order; those that are tied once."""
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)])
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_the_curves_of_two_systems(run, checkpoint, distilled, tmp_path, capsys):
    content = run(
        *("--ratios", "0.9,0.2", "--plot", tmp_path / "pruned.png"), systems=(checkpoint, distilled)
    )
    models = content["models"]
    assert [(model["system"], model["ratio"]) for model in models] == [
        (system, ratio) for system in ("plain", "distilled") for ratio in (0, 0.2, 0.9)
    ]
    whole, pruned, ruined = (model["scores"]["BLEU"] for model in models[:3])
    assert ruined < 10 < pruned < 100 and whole > 40
    assert models[2]["changes"]["BLEU"] == ruined - whole and models[0]["changes"]["BLEU"] == 0
    for model in models:
        result = read_result(tmp_path / "pruned" / model["result"])
        assert result.scores == model["scores"] and result.signatures == content["signatures"]
        assert result.search.beam == content["beam"] == 2
    assert (tmp_path / "pruned.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob("*.tmp"))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Removed | plain | distilled |"
    assert lines[4].startswith(f"| 90 % | {ruined:.1f} (-") and "nrefs:1" in lines[6]


def test_a_model_of_labelled_sentences_is_pruned(of_classes, classifier, tmp_path, capsys):
    """As in Figure 10 of the paper, on QQP."""
    main(
        ["sensitivity", str(of_classes), "--path", str(classifier), "--cpu"]
        + ["--results-path", str(tmp_path)]
    )
    capsys.readouterr()
    arguments = ["prune", str(of_classes), "--path", str(classifier), "--cpu"]
    arguments += ["--ratios", "0.1,0.9", "--order", "sensitivity", "random", "--write-checkpoint"]
    arguments += ["--sensitivity", str(tmp_path / "plain.sensitivity.pt")]
    arguments += ["--results-path", str(tmp_path / "pruned"), "--plot", str(tmp_path / "p.png")]
    main(arguments)
    content = json.loads((tmp_path / "pruned/prune.json").read_text())
    assert content["subset"] == "valid"
    assert content.keys() == {"data", "subset", "signatures", "models"}
    whole, some, _, _, _, most_at_random = content["models"]
    assert whole["scores"]["accuracy"] - some["scores"]["accuracy"] < 10
    assert most_at_random["scores"]["accuracy"] < whole["scores"]["accuracy"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Removed | plain, sensitivity | plain, random |"
    assert lines[6].startswith("- F1: `classes:no,yes|positive:yes|") and lines[7] == "- valid"
    assert not any("beam" in line for line in lines)
    path = tmp_path / "pruned/plain/sensitivity/0.9/checkpoint.pt"
    assert (parameters(path) == 0).sum() >= int(0.9 * len(parameters(path)))
    written = path.stat().st_mtime_ns
    main(arguments)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("kind, model", [("words", "tagger"), ("questions", "answerer")])
def test_models_of_words_and_questions_are_pruned(kind, model, request, tmp_path, capsys):
    data, path = map(request.getfixturevalue, (f"of_{kind}", model))
    arguments = ["prune", str(data), "--path", str(path), "--cpu", "--order", "random"]
    arguments += ["--ratios=0.9", f"--results-path={tmp_path}"]
    main([*arguments, "--gen-subset=test-ar"])
    whole, pruned = json.loads((tmp_path / "prune.json").read_text())["models"]
    primary = {"words": "entity-F1", "questions": "answer-F1"}[kind]
    assert pruned["scores"][primary] < whole["scores"][primary]
    files = {file.name for file in (tmp_path / "plain/random/0.9").iterdir()}
    assert files == {"test-ar.json", "test-ar.pred", "test-ar.ref", "pruning-test-ar.json"}
    capsys.readouterr()
    main(["table", str(tmp_path), "--gen-subset=test-ar"])  # nothing else is taken for a result
    assert "plain/random/0.9" in capsys.readouterr().out
    main(arguments)
    assert json.loads((tmp_path / "prune.json").read_text())["subset"] == "valid"


def test_a_checkpoint_is_loaded_once_to_be_pruned_and_once_to_be_run(
    of_words, tagger, tmp_path, monkeypatch
):
    loaded = []
    load = checkpoint_utils.load_checkpoint_to_cpu
    monkeypatch.setattr(
        checkpoint_utils,
        "load_checkpoint_to_cpu",
        lambda path, *args, **kwargs: loaded.append(Path(path).name) or load(path, *args, **kwargs),
    )
    main(
        ["prune", str(of_words), "--path", str(tagger), "--cpu", "--order", "random"]
        + ["--ratios=0.5", f"--results-path={tmp_path}"]
    )
    whole = tagger.name  # to be checked, to be run as it is, to be pruned
    assert loaded == [whole, whole, whole, "scratch.pt"]


def test_the_least_sensitive_are_removed_over_the_whole_model(
    run,
    checkpoint,
    scores,
    translations,
    tmp_path,
):
    (_, model) = run("--ratios", "0.29", "--write-checkpoint")["models"]
    before = parameters(checkpoint)
    after = parameters(tmp_path / "pruned/plain/sensitivity/0.29/checkpoint.pt")
    sensitivity = torch.cat([t.flatten() for t in read_scores(scores[checkpoint]).tensors.values()])
    removed = sensitivity.sort(stable=True).indices[: len(before) * 29 // 100]
    expected = before.clone()
    expected[removed] = 0
    assert torch.equal(after, expected)
    assert (model["removed"], model["parameters"]) == (len(removed), len(before))


@pytest.mark.parametrize("order", ["magnitude", "random"])
def test_controls_need_no_sensitivity(run, checkpoint, translations, order, tmp_path):
    run("--ratios", "0.3,0.6", "--order", order, "--write-checkpoint", sensitivity=[])
    before = parameters(checkpoint)
    some, more = (
        parameters(tmp_path / f"pruned/plain/{order}/{ratio}/checkpoint.pt") == 0
        for ratio in ("0.3", "0.6")
    )
    assert bool((more | ~some).all())  # what is removed first stays removed
    smallest = before.abs() <= before.abs().kthvalue(int(0.6 * len(before))).values
    share_of_smallest = (more & smallest).sum() / smallest.sum()
    assert share_of_smallest == 1 if order == "magnitude" else 0.5 < share_of_smallest < 0.7


def test_a_seed_draws_the_random_order(run, translations, tmp_path):
    path = tmp_path / "pruned/plain/random/0.5/checkpoint.pt"
    removed = []
    for seed in (1, 2, 1):
        run(
            "--ratios=0.5", "--order=random", f"--seed={seed}", "--write-checkpoint", sensitivity=[]
        )
        removed.append(parameters(path) == 0)
    assert torch.equal(removed[0], removed[2]) and not torch.equal(removed[0], removed[1])
    assert translations == ["plain/unpruned", *["plain/random/0.5"] * 3]


def test_tied_parameters_are_pruned_alike(run, checkpoint, translations, tmp_path):
    state = read_checkpoint(checkpoint)
    names = [f"{side}.embed_tokens.weight" for side in ("encoder", "decoder")]
    names.append("decoder.output_projection.weight")
    assert len({state["model"][name].data_ptr() for name in names}) == 1
    run("--ratios", "0.5", "--write-checkpoint")
    pruned = read_checkpoint(tmp_path / "pruned/plain/sensitivity/0.5/checkpoint.pt")
    assert pruned["model"].keys() == state["model"].keys() and "last_optimizer_state" not in pruned
    assert len({pruned["model"][name].data_ptr() for name in names}) == 1
    assert 0 < int((pruned["model"][names[0]] == 0).sum()) < state["model"][names[0]].numel()


def test_fairseq_loads_what_is_written(run, prepared, tmp_path):
    (_, model) = run("--ratios", "0.2", "--write-checkpoint")["models"]
    path = tmp_path / "pruned/plain/sensitivity/0.2/checkpoint.pt"
    again = Evaluation(prepared, path, tmp_path / "again", search=Search(beam=2))
    (result,) = evaluate(again)
    assert result.scores == model["scores"] and result.checkpoint.updates == 150
    assert len(fairseq_generate(prepared, path, tmp_path)) == 19

    finetune = ("--task", "translation", "--finetune-from-model", str(path))
    tuned = train_model(prepared, tmp_path / "tuned", 2, *finetune)
    assert read_checkpoint(tuned)["optimizer_history"][-1]["num_updates"] == 2


def test_the_moving_average_of_the_parameters_is_pruned_too(prepared, tmp_path):
    """Fine-tuning with --store-ema goes on with it."""
    options = ["--task", "translation_intra_distillation", "--num-passes", "1"]
    options += ["--store-ema", "--ema-decay", "0.9", "--ema-fp32"]
    dense = train_model(prepared, tmp_path / "dense", 10, *options)
    before = sha256(dense)
    arguments = ["prune", prepared, "--path", dense, "--results-path", tmp_path, "--names", "s"]
    arguments += ["--order", "magnitude", "--ratios", "0.5", "--write-checkpoint", "--cpu"]
    main([*map(str, arguments), "--beam", "1"])
    assert sha256(dense) == before
    pruned = tmp_path / "s/magnitude/0.5/checkpoint.pt"
    finetune = ("--keep-pruned", "--finetune-from-model", str(pruned))
    tuned = read_checkpoint(train_model(prepared, tmp_path / "tuned", 3, *options, *finetune))
    averages = (tuned["extra_state"][name] for name in ("ema", "ema_fp32_params"))
    for parameters in (tuned["model"], *averages):
        for name, tensor in read_checkpoint(pruned)["model"].items():
            assert torch.equal(parameters[name] == 0, tensor == 0)


def test_several_orders_share_the_unpruned_model(run, translations, tmp_path, capsys):
    orders = ["sensitivity", "random", "magnitude"]
    models = run("--ratios", "0,0.5", "--order", *orders)["models"]
    assert translations == ["plain/unpruned", *(f"plain/{order}/0.5" for order in orders)]
    assert [(model["order"], model["ratio"]) for model in models] == [
        (order, ratio) for order in orders for ratio in (0, 0.5)
    ]
    header = capsys.readouterr().out.splitlines()[0]
    assert header == "| Removed | plain, sensitivity | plain, random | plain, magnitude |"


# Going on


def test_what_is_done_is_not_translated_again(run, translations, tmp_path):
    first = run("--ratios", "0.1,0.5")
    assert len(translations) == 3
    assert run("--ratios", "0.1,0.5") == first and len(translations) == 3
    run("--ratios", "0.1,0.3,0.5")
    assert translations[3:] == ["plain/sensitivity/0.3"]


def test_a_killed_run_goes_on(run, translations, tmp_path, monkeypatch):
    def killed(checkpoint, *_):
        assert Path(checkpoint.path).exists()
        raise KeyboardInterrupt

    run("--ratios", "0")
    with monkeypatch.context() as context, pytest.raises(SystemExit, match="130"):
        context.setattr(pruning, "make_result", killed)
        run("--ratios", "0.5")
    assert not list(tmp_path.rglob("*.pt"))
    run("--ratios", "0.5")
    assert translations == ["plain/unpruned", "plain/sensitivity/0.5"]


def test_a_kept_checkpoint_is_made_later_without_translating(run, translations, tmp_path):
    run("--ratios", "0.5")
    del translations[:]
    path = tmp_path / "pruned/plain/sensitivity/0.5/checkpoint.pt"
    assert not path.exists()
    run("--ratios", "0.5", "--write-checkpoint")
    written = path.stat().st_mtime_ns
    run("--ratios", "0.5", "--write-checkpoint")
    run("--ratios", "0.5")
    assert path.stat().st_mtime_ns == written and not translations


@pytest.mark.parametrize(
    "name, content",
    [("test.json", b"{"), ("pruning-test.json", b"\xff"), ("checkpoint.pt", b"PK")],
)
def test_what_is_damaged_is_made_again(run, translations, tmp_path, name, content):
    asked = ["--ratios", "0.5", "--write-checkpoint"]
    first = run(*asked)
    del translations[:]
    folder = tmp_path / "pruned/plain/sensitivity/0.5"
    (folder / name).write_bytes(content)
    assert run(*asked) == first
    assert translations == ([] if name == "checkpoint.pt" else ["plain/sensitivity/0.5"])
    assert read_result(folder / "test.json") and read_checkpoint(folder / "checkpoint.pt")


@pytest.mark.parametrize(
    "change, again",
    [
        (["--lenpen", "0.5"], ["plain/unpruned", "plain/sensitivity/0.5"]),
        (["--beam", "3"], ["plain/unpruned", "plain/sensitivity/0.5"]),
        (["--metrics", "chrF", "BLEU"], ["plain/unpruned", "plain/sensitivity/0.5"]),
        (["--tokenize", "char"], ["plain/unpruned", "plain/sensitivity/0.5"]),
        (["--gen-subset", "test1"], ["plain/unpruned", "plain/sensitivity/0.5"]),
        (["--max-tokens", "100", "--seed", "5"], []),
    ],
)
def test_another_search_is_another_result(run, translations, change, again):
    run("--ratios", "0.5")
    del translations[:]
    run("--ratios", "0.5", *change)
    assert translations == again


def test_other_scores_or_changed_hypotheses_are_another_result(
    run,
    checkpoint,
    scores,
    translations,
    tmp_path,
):
    run("--ratios", "0.5")
    del translations[:]
    other = read_scores(scores[checkpoint])
    reverse = {name: 1 / (1 + tensor) for name, tensor in other.tensors.items()}
    write_scores(tmp_path / "other.pt", replace(other, tensors=reverse))
    run("--ratios", "0.5", sensitivity=[tmp_path / "other.pt"])
    assert translations == ["plain/sensitivity/0.5"]
    (tmp_path / "pruned/plain/unpruned/test.hyp.en").write_text("changed\n")
    run("--ratios", "0.5", sensitivity=[tmp_path / "other.pt"])
    assert translations[1:] == ["plain/unpruned"]


def test_another_checkpoint_of_that_name_is_another_result(
    run,
    checkpoint,
    distilled,
    translations,
):
    run("--ratios", "0.5", "--names", "system")
    run("--ratios", "0.5", "--names", "system", systems=[distilled])
    assert translations == ["system/unpruned", "system/sensitivity/0.5"] * 2


# What is shown


def test_the_first_metric_is_shown(run, translations, figures, tmp_path, capsys):
    options = ["--metrics", "TER", "BLEU", "--ratios", "0.5", "--plot", tmp_path / "p.png"]
    content = run(*options)
    assert list(content["signatures"]) == list(content["models"][0]["scores"]) == ["TER", "BLEU"]
    score = content["models"][0]["scores"]["TER"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"| 0 % | {score:.1f} |" and lines[5].startswith("- TER: `nrefs:1|")
    labels = [axes.get_ylabel() for axes in figures[0].axes]
    assert labels == ["TER (edits per 100 words), test", "change in TER"]


@pytest.mark.parametrize(
    "text, ratios",
    [("0.5", ["0", "0.5"]), ("0.30,0,.1", ["0", "0.1", "0.3"]), ("-0,1e-3", ["0", "0.001"])],
)
def test_ratios_are_sorted_and_begin_with_none(text, ratios):
    assert [f"{ratio:f}" for ratio in prune.parse_ratios(text)] == ratios


@pytest.mark.parametrize("parameters", [100, 5568, 49_976_832])
def test_a_share_is_exact(parameters):
    system = pruning.Unpruned("s", Path("s"), "", parameters, None, None)
    ratios = prune.parse_ratios(",".join(f"0.{i:02}" for i in range(100)))
    removed = [pruning.Pruning(system, "random", ratio, 1).removed for ratio in ratios]
    assert removed == [i * parameters // 100 for i in range(100)]


def test_the_picture_shows_the_scores_and_names_as_they_are(
    run, checkpoint, distilled, tmp_path, figures
):
    options = ("--plot", tmp_path / "p.png", "--ratios=0.5", "--names", "_a,b$x$")
    models = run(*options, systems=(checkpoint, distilled))["models"]
    for axes, values in zip(
        figures[0].axes,
        ([m["scores"]["BLEU"] for m in models], [m["changes"]["BLEU"] for m in models]),
        strict=True,
    ):
        assert [y for line in axes.lines for y in line.get_ydata()] == values
        assert list(axes.lines[0].get_xdata()) == [0, 50]
        assert axes.get_xlabel() == "parameters removed (%)" and "BLEU" in axes.get_ylabel()
    legend = figures[0].legends[0].get_texts()
    assert [text.get_text() for text in legend] == ["_a", "b$x$"]
    assert not any(text.get_parse_math() for text in legend)


# What is refused


def test_a_file_for_each_checkpoint(run, prepared, checkpoint, distilled, scores, translations):
    both, ours, theirs = [checkpoint, distilled], scores[checkpoint], scores[distilled]
    with pytest.raises(SystemExit, match="--sensitivity has 1 files for 2 checkpoints: make one"):
        run(systems=both, sensitivity=[ours])
    with pytest.raises(SystemExit, match="--sensitivity has 0 files for 1 checkpoints: make one"):
        run(sensitivity=[])
    with pytest.raises(SystemExit, match=f"no file has the scores of {checkpoint} as it is now"):
        run(sensitivity=[theirs])
    with pytest.raises(SystemExit, match=f"no file has the scores of {distilled} as it is now"):
        run(systems=both, sensitivity=[ours, ours])
    with pytest.raises(SystemExit, match="is the same as"):
        run("--names=a,b", systems=[checkpoint] * 2, sensitivity=[ours, ours])
    assert not translations
    run("--ratios=0", systems=both, sensitivity=[theirs, ours])  # each finds its own


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("encoder.layers.0.fc1.bias"), "last.pt has encoder.layers.0.fc1.bias, "),
        (lambda t: t.update(more=torch.ones(1)), "scores.pt has more, .*last.pt has not"),
        (lambda t: t.update({"encoder.layers.0.fc1.bias": torch.ones(3)}), r"\[3\] .* not \[32\]"),
        (lambda t: t["encoder.layers.0.fc1.bias"].fill_(math.nan), "fc1.bias has scores that are"),
        (lambda t: t["encoder.layers.0.fc1.bias"].fill_(-1), "fc1.bias has scores that are neg"),
    ],
)
def test_scores_that_do_not_fit(run, checkpoint, scores, change, message, tmp_path, translations):
    good = read_scores(scores[checkpoint])
    tensors = {name: tensor.clone() for name, tensor in good.tensors.items()}
    change(tensors)
    write_scores(tmp_path / "scores.pt", replace(good, tensors=tensors))
    with pytest.raises(SystemExit, match=message):
        run(sensitivity=[tmp_path / "scores.pt"])
    assert not translations


def test_a_checkpoint_of_other_data(run, checkpoint, tmp_path, translations):
    def shorten(state):
        name = "encoder.embed_tokens.weight"
        state["model"][name] = state["model"][name][:-1].clone()

    systems = checkpoint, change_checkpoint(checkpoint, tmp_path / "other.pt", shorten)
    with pytest.raises(SystemExit, match="other.pt is of other data: its encoder knows"):
        run("--order=random", "--names=a,b", systems=systems, sensitivity=[])
    assert not translations


def test_a_checkpoint_is_not_written_over(run, checkpoint, tmp_path, translations):
    path = tmp_path / "pruned/system/random/0.1/checkpoint.pt"
    path.parent.mkdir(parents=True)
    shutil.copy(checkpoint, path)
    before = sha256(path)
    with pytest.raises(SystemExit, match="would be written over: take another folder"):
        run("--order=random", "--names=system", systems=[path], sensitivity=[])
    assert sha256(path) == before and not translations
