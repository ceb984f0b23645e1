import shutil
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from intra_distill.checkpoints import read_checkpoint
from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.files import sha256
from intra_distill.tools.averaging import average
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate

from ..support.checkpoints import fairseq_generate, train_model
from ..support.training import INTRA, PLAIN, run_training


def write(path: Path, updates: int = 1, **parameters: torch.Tensor) -> Path:
    """A checkpoint of a model with these parameters and no more than there must be."""
    state = {
        "cfg": {"common": {"seed": updates}},
        "model": parameters,
        "optimizer_history": [{"num_updates": updates}],
        "extra_state": {"previous_training_time": float(updates)},
        "last_optimizer_state": {"moments": torch.ones(1000)},
    }
    torch.save(state, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_parameters_are_averaged_in_their_own_type(tmp_path, dtype):
    # 6e4 + 6e4 is more than float16 holds, and 2049 between two numbers that it does
    values = ([6e4, 1.0, -3.0, 2048.0], [6e4, 2.0, -3.0, 2052.0])
    paths = [
        write(tmp_path / f"{i}.pt", weight=torch.tensor(value, dtype=dtype))
        for i, value in enumerate(values)
    ]
    weight = average(paths)["model"]["weight"]
    expected = torch.tensor(values, dtype=dtype).double().mean(dim=0).to(dtype)
    assert weight.dtype == dtype and torch.equal(weight, expected)


def test_the_average_of_equal_parameters_is_these(tmp_path):
    torch.manual_seed(1)
    weight = torch.randn(100)
    paths = [write(tmp_path / f"{i}.pt", updates=i, weight=weight) for i in range(1, 4)]
    assert torch.equal(average(paths)["model"]["weight"], weight)
    assert not torch.equal((weight + weight + weight) / 3, weight)  # as float32 has it


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_all_else_is_of_the_newest(tmp_path, order):
    paths = [
        write(
            tmp_path / f"{i}.pt", updates=i, weight=torch.tensor([float(i)]), seen=torch.tensor(i)
        )
        for i in order
    ]
    state = average(paths)
    assert state["model"]["weight"].item() == 2 and state["model"]["seen"].item() == 3
    assert (
        state["optimizer_history"] == [{"num_updates": 3}] and "last_optimizer_state" not in state
    )
    assert state["extra_state"] == {
        "previous_training_time": 3.0,
        "averaged_from": [
            {"path": str(path), "sha256": sha256(path), "updates": i}
            for path, i in zip(paths, order, strict=True)
        ],
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_shared_parameters_are_averaged_once_and_stay_shared(tmp_path, dtype):
    paths = []
    for i in (1, 3):
        weight = torch.full((50, 40), float(i), dtype=dtype)
        paths.append(
            write(tmp_path / f"{i}.pt", i, encoder=weight, decoder=weight, other=weight[0])
        )
    output = tmp_path / "average.pt"
    main(["average", "--inputs", *map(str, paths), "--output", str(output)])
    model = read_checkpoint(output)["model"]
    assert all(bool((tensor == 2).all()) for tensor in model.values())
    assert model["encoder"].data_ptr() == model["decoder"].data_ptr()
    assert output.stat().st_size < 2 * 50 * 40 * dtype.itemsize + 3000


def test_what_only_one_checkpoint_shares_is_averaged_apart(tmp_path):
    one, two = torch.ones(2), torch.full((2,), 2.0)
    paths = [write(tmp_path / "0.pt", 1, a=one, b=two), write(tmp_path / "1.pt", 2, a=one, b=one)]
    model = average(paths)["model"]
    assert model["a"].tolist() == [1, 1] and model["b"].tolist() == [1.5, 1.5]


# What is refused


@pytest.mark.parametrize(
    "other, message",
    [
        ({"weight": torch.ones(3)}, r"1.pt is of another model .*0.pt: its weight is \[3\], not"),
        ({}, "1.pt is of another model than .*0.pt: it has no weight"),
        (
            {"weight": torch.ones(2), "bias": torch.ones(2)},
            "0.pt is of another model than .*1.pt: it has no bias",
        ),
        (
            {"weight": torch.tensor([1, torch.nan])},
            "1.pt: weight has values that are NaN or infinite",
        ),
        (
            {"weight": torch.tensor([1, -torch.inf])},
            "1.pt: weight has values that are NaN or infinite",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused(other, message, tmp_path):
    paths = [write(tmp_path / "0.pt", weight=torch.ones(2)), write(tmp_path / "1.pt", **other)]
    with pytest.raises(UserError, match=message):
        average(paths)


def of_data(path: Path, folder: Path, words: str | None, target_lang: str = "en") -> Path:
    """A checkpoint that was trained on data with such a dictionary, or on data that is gone."""
    write(path, updates=int(path.stem) + 1, weight=torch.full((2,), float(path.stem)))
    state = torch.load(path)
    state["cfg"]["task"] = {"data": str(folder), "source_lang": "de", "target_lang": target_lang}
    torch.save(state, path)
    if words is not None:
        folder.mkdir(exist_ok=True)
        for lang in ("de", target_lang):
            (folder / f"dict.{lang}.txt").write_text("".join(f"{w} 1\n" for w in words.split()))
    return path


def test_models_of_other_data_are_refused(tmp_path):
    one = of_data(tmp_path / "0.pt", tmp_path / "a", "x y z")
    for words, lang, message in [
        ("y x z", "en", "1.pt is of other data than .*0.pt: .*b/dict.de.txt is not .*a/dict.de"),
        ("x y z", "fr", "1.pt is of other data than .*0.pt: fr, not en"),
    ]:
        other = of_data(tmp_path / "1.pt", tmp_path / "b", words, lang)
        with pytest.raises(UserError, match=message):
            average([one, other])
        shutil.rmtree(tmp_path / "b")


@pytest.mark.parametrize("words, says", [("x y z", ""), (None, "b is not there any more")])
def test_models_of_the_same_words_are_averaged_wherever_these_are(tmp_path, capsys, words, says):
    one = of_data(tmp_path / "0.pt", tmp_path / "a", "x y z")
    same = of_data(tmp_path / "2.pt", tmp_path / "a" / ".." / "a", None)
    other = of_data(tmp_path / "1.pt", tmp_path / "b", words)
    assert average([one, other, same])["model"]["weight"].tolist() == [1, 1]
    assert says in capsys.readouterr().err


def test_a_damaged_dictionary_of_the_training_is_a_warning(tmp_path, capsys):
    one = of_data(tmp_path / "0.pt", tmp_path / "a", "x y z")
    other = of_data(tmp_path / "1.pt", tmp_path / "b", "x y z")
    (tmp_path / "b" / "dict.en.txt").write_bytes(b"\xff\xfe")
    assert average([one, other])["model"]["weight"].tolist() == [0.5, 0.5]
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning == (
        f"{other} and {one} may be of other data: {tmp_path}/b/dict.en.txt, line 1: not UTF-8 "
        "(invalid start byte)"
    )


def test_a_file_that_cannot_be_averaged_leaves_the_output_alone(tmp_path):
    path, output = write(tmp_path / "1.pt", weight=torch.ones(2)), tmp_path / "average.pt"
    output.write_text("precious")
    (tmp_path / "2.pt").write_text("text")
    with pytest.raises(SystemExit, match="2.pt is not a PyTorch checkpoint"):
        main(["average", "--inputs", str(path), f"{tmp_path}/2.pt", "--output", str(output)])
    assert output.read_text() == "precious"


# The last of a folder


@pytest.mark.parametrize(
    "options, expected",
    [
        (["--num-epoch-checkpoints", "2"], ["checkpoint9.pt", "checkpoint10.pt"]),
        (
            ["--num-epoch-checkpoints", "2", "--checkpoint-upper-bound", "9"],
            ["checkpoint8.pt", "checkpoint9.pt"],
        ),
        (
            ["--num-update-checkpoints", "3"],
            ["checkpoint_1_50.pt", "checkpoint_1_100.pt", "checkpoint_2_150.pt"],
        ),
        (
            ["--num-update-checkpoints", "1", "--checkpoint-upper-bound", "120"],
            ["checkpoint_1_100.pt"],
        ),
    ],
)
def test_the_last_checkpoints_of_a_folder(options, expected, tmp_path, capsys):
    names = ["8", "9", "10", "_1_50", "_1_100", "_2_150", "_best", "_last", ".best_loss_1.0"]
    for i, name in enumerate(names):
        write(tmp_path / f"checkpoint{name}.pt", i, weight=torch.ones(2))
    output = tmp_path / "average.pt"
    main(["average", "--inputs", str(tmp_path), "--output", str(output), *options])
    averaged = read_checkpoint(output)["extra_state"]["averaged_from"]
    assert [Path(source["path"]).name for source in averaged] == expected
    assert f"{output}: the average of {tmp_path}/{expected[0]}" in capsys.readouterr().out


def test_what_a_folder_does_not_have_is_refused(tmp_path):
    write(tmp_path / "checkpoint1.pt", weight=torch.ones(2))
    command = ["average", "--output=a.pt", "--num-epoch-checkpoints=3", "--inputs", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"3 checkpoints .* has 1 called checkpoint\(\\d\+\)"):
        main(command)
    with pytest.raises(SystemExit, match="--inputs must be one folder"):
        main([*command, str(tmp_path)])


# Really trained


@pytest.fixture
def trained(configure, tmp_path) -> Path:
    """The folder of a run with the checkpoints of three epochs, its embeddings shared."""
    tied = ["--share-all-embeddings", "--max-epoch", "3", "--max-update", "0"]
    run_training(configure(*INTRA, *tied, "--required-batch-size-multiple", "1"))
    return tmp_path / "checkpoints"


@pytest.fixture
def averaged(trained) -> Path:
    path = trained.parent / "average.pt"
    main(["average", "--inputs", str(trained), "--num-epoch-checkpoints=2", f"--output={path}"])
    return path


def test_the_average_of_a_run_translates(averaged, trained, data, tmp_path):
    models = [
        checkpoint_utils.load_model_ensemble([str(path)])[0][0]
        for path in (trained / "checkpoint2.pt", trained / "checkpoint3.pt", averaged)
    ]
    for two, three, mean in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(mean, (two + three) / 2)
        assert not torch.equal(two, three)
    decoder = models[2].decoder
    assert decoder.output_projection.weight is decoder.embed_tokens.weight
    assert averaged.stat().st_size < (trained / "checkpoint3.pt").stat().st_size / 2

    assert len(fairseq_generate(data, averaged, tmp_path)) == 20


def test_a_training_starts_from_the_average(averaged, configure, trained):
    cfg = configure(
        *PLAIN, "--share-all-embeddings", "--finetune-from-model", str(averaged), "--lr", "1e-9",
        "--save-dir", str(trained.parent / "tuned"), "--max-update", "1",
    )  # fmt: skip
    run_training(cfg)
    tuned = read_checkpoint(trained.parent / "tuned" / "checkpoint_last.pt")
    assert tuned["optimizer_history"][-1]["num_updates"] == 1
    for name, tensor in read_checkpoint(averaged)["model"].items():
        torch.testing.assert_close(tuned["model"][name], tensor, atol=1e-6, rtol=0)


def test_an_average_is_evaluated(prepared, tmp_path):
    run = tmp_path / "run"
    task = ("--task", "translation")
    train_model(prepared, run, 5, *task, "--save-interval-updates", "1", "--seed", "3")
    path = run / "average.pt"
    main(["average", "--inputs", str(run), "--num-update-checkpoints=2", f"--output={path}"])
    (result,) = evaluate(Evaluation(prepared, path, tmp_path / "results"))
    assert (result.system, result.checkpoint.seed, result.checkpoint.updates) == ("run", 3, 5)
    assert result.checkpoint.training_seconds > 0
