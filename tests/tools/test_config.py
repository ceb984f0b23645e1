"""Configurations as arguments, and the names of systems."""

from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.config import System, config_arguments, hydra_overrides, load_config

from ..support.training import CONFIGS, USER_DIR


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_groups_become_options(tmp_path):
    config = write(
        tmp_path / "a.yaml",
        "task: {_name: translation, data: '???', left_pad_source: true, eval_bleu: false}\n"
        "model: {_name: transformer, encoder_layers: 3, decoder_embed_path: null}\n"
        "optimization: {lr: [0.1, 0.2], update_freq: [4]}\n"
        "generation: {beam: 5}\n",
    )
    assert (
        config_arguments(config)
        == (
            "--task translation --left-pad-source --arch transformer --encoder-layers 3 "
            "--lr 0.1,0.2 --update-freq 4"
        ).split()
    )
    assert config_arguments(config, generation=True) == ["--beam", "5"]
    assert (
        config_arguments(config, ["model.encoder_layers=6", "task.eval_bleu=true"])
        == (
            "--task translation --left-pad-source --eval-bleu --arch transformer "
            "--encoder-layers 6 --lr 0.1,0.2 --update-freq 4"
        ).split()
    )


def test_a_flat_file_is_the_options_of_one_command(tmp_path):
    config = write(tmp_path / "a.yaml", "source_lang: de\nlowercase: true\nmax_ratio: 1.5\n")
    assert config_arguments(config) == "--source-lang de --lowercase --max-ratio 1.5".split()


@pytest.mark.parametrize(
    "text, overrides, named",
    [
        (None, [], "no such configuration file"),
        ("a: [1\n", [], "a.yaml"),
        ("just words\n", [], "a.yaml"),
        ("a: {b: 1}\n", ["a"], "'a' is no override"),
        ("a: {b: 'two words'}\n", [], "'two words': write the value without spaces"),
        ("a: {b: ''}\n", [], "without spaces"),
        ("a: {b: '${nothing.here}'}\n", [], "nothing"),
    ],
)
def test_no_configuration_is_refused(tmp_path, text, overrides, named):
    config = tmp_path / "a.yaml"
    if text is not None:
        write(config, text)
    with pytest.raises(UserError) as refusal:
        config_arguments(config, overrides)
    assert named in str(refusal.value) and "\n" not in str(refusal.value)


# Systems


@pytest.mark.parametrize(
    "name, config, overrides, label",
    [
        ("intra_x", "intra_x", (), "intra_x"),
        ("a+b", "a+b", (), "a+b"),
        ("a+b.c", "a+b.c", (), "a+b.c"),
        (
            "intra_x+task.num_passes=5+criterion.alpha=1",
            "intra_x",
            ("task.num_passes=5", "criterion.alpha=1"),
            "intra_x num_passes=5 alpha=1",
        ),
        ("a+common.seed=1e+3", "a", ("common.seed=1e+3",), "a seed=1e+3"),
        ("a+seed=1", "a", ("seed=1",), "a seed=1"),
    ],
)
def test_a_systems_name_states_its_configuration_and_overrides(name, config, overrides, label):
    system = System.of(name)
    assert (system.config, system.overrides) == (config, overrides)
    assert str(system) == name
    assert system.label == label


def test_a_system_without_one_of_its_overrides():
    system = System.of("a+task.num_passes=5+criterion.alpha=1")
    assert str(system.without("task.num_passes")) == "a+criterion.alpha=1"
    assert system.without("num_passes") == system


def test_a_system_is_read_from_the_file_of_its_configuration(tmp_path):
    for folder in (tmp_path, tmp_path / "a+b.c=d"):
        folder.mkdir(exist_ok=True)
        write(folder / "base.yaml", "task: {data: here, size: 1}\n")
        assert load_config(folder / "base") == {"task": {"data": "here", "size": 1}}
        changed = load_config(folder / "base+task.size=1e+3+task.data=/some/where")
        assert changed == {"task": {"data": "/some/where", "size": 1000.0}}
        changed = load_config(folder / "base+task.size=2", ["task.size=3"])
        assert changed["task"]["size"] == 3


@pytest.mark.parametrize("name", ["none", "none.yaml", "base+size", "none+task.size=1", ""])
def test_a_system_that_does_not_exist_is_refused_with_those_that_do(name, tmp_path):
    for file in ("base", "other", "prepare", "paper", "datasets", ".hidden"):
        write(tmp_path / f"{file}.yaml", "task: {size: 1}\n")
    with pytest.raises(UserError) as refusal:
        load_config(tmp_path / name)
    assert str(refusal.value) == (
        f"{tmp_path / name}: no such configuration file: the systems of {tmp_path} are base, other"
    )


# Data sets

BASE = """
task: {_name: t, data: "???", classes: "???"}
criterion: {_name: c, alpha: "???", p: 5.0}
dataset: {gen_subset: "???"}
optimization: {max_update: "???", lr: [0.5]}
lr_scheduler: {total: "${optimization.max_update}"}
"""
OF_MNLI = """
mnli:
  task: {classes: 3, pairs: true}
  criterion: {alpha: 0.5, p: 6.0}
  dataset: {gen_subset: "valid,valid1"}
  optimization: {max_update: 40}
  more: {key: 1}
rte: {task: {classes: 2}}
none: 1
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    """The folder of a recipe with the system base and data sets."""
    write(tmp_path / "base.yaml", BASE)
    write(tmp_path / "datasets.yaml", OF_MNLI)
    return tmp_path


def test_a_data_set_fills_what_is_missing_and_nothing_else(recipe):
    assert load_config(recipe / "base", ["task.data=here"], "mnli") == {
        "task": {"_name": "t", "data": "here", "classes": 3},
        "criterion": {"_name": "c", "alpha": 0.5, "p": 5.0},
        "dataset": {"gen_subset": "valid,valid1"},
        "optimization": {"max_update": 40, "lr": [0.5]},
        "lr_scheduler": {"total": 40},
    }
    changed = load_config(recipe / "base+criterion.alpha=0+task.pairs=2", dataset="mnli")
    assert changed["criterion"]["alpha"] == 0 and changed["task"]["pairs"] == 2


def test_what_no_data_set_fills_stays_missing(recipe):
    for dataset in (None, "rte"):
        values = load_config(recipe / "base.yaml", dataset=dataset)
        assert values["lr_scheduler"]["total"] == values["optimization"]["max_update"] == "???"
    arguments = config_arguments(recipe / "base.yaml", dataset="rte")
    assert arguments == "--task t --classes 2 --criterion c --p 5.0 --lr 0.5".split()
    assert config_arguments(recipe / "base.yaml", dataset="rte", generation=True) == []


def test_the_subset_of_an_evaluation_is_no_option_of_training(recipe):
    arguments = config_arguments(recipe / "base.yaml", dataset="mnli", generation=True)
    assert arguments == ["--gen-subset", "valid,valid1"]
    assert "--gen-subset" not in config_arguments(recipe / "base.yaml", dataset="mnli")


def test_the_changes_of_a_data_set_and_a_system_are_overrides_of_hydra(recipe):
    system = recipe / "base+criterion.alpha=2+task.text=a,b"
    assert hydra_overrides(system, ["optimization.lr=[0.1]"], "mnli") == [
        "task.classes=3",
        '++task.text="a,b"',
        "criterion.alpha=2",
        'dataset.gen_subset="valid,valid1"',
        "optimization.max_update=40",
        "optimization.lr=[0.1]",
        "lr_scheduler.total=40",
    ]
    assert hydra_overrides(recipe / "base") == []
    with pytest.raises(UserError, match="write the value without spaces"):
        hydra_overrides(recipe / "base+task.text=two words")


@pytest.mark.parametrize(
    "dataset, text, named",
    [
        ("mnli-m", OF_MNLI, "the data sets of {file} are mnli, rte, none"),
        ("none", OF_MNLI, "{file}: none must hold groups of KEY: VALUE"),
        ("rte", "- rte\n", "{file}: Cannot merge DictConfig with ListConfig"),
        ("rte", "rte: [\n", "{file}: while parsing"),
        ("rte", None, "--dataset rte: there is no {file}, which says what differs by it"),
    ],
)
def test_a_data_set_that_does_not_exist_is_refused(recipe, dataset, text, named):
    file = recipe / "datasets.yaml"
    file.unlink()
    if text is not None:
        write(file, text)
    with pytest.raises(UserError) as refusal:
        load_config(recipe / "base", dataset=dataset)
    assert named.format(file=file) in str(refusal.value)


# The command


def test_the_command_prints_one_line(capsys):
    main(["args", str(CONFIGS / "multi30k" / "intra_x.yaml")])
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and "--criterion intra_distillation" in printed


def test_the_command_takes_a_system(capsys):
    main(["args", str(CONFIGS / "multi30k" / "intra_x+task.num_passes=5"), "task.data=here"])
    printed = capsys.readouterr().out
    assert "--num-passes 5" in printed and "--data here" in printed


def test_the_command_takes_a_data_set(capsys):
    options = ["--dataset", "rte", str(CONFIGS / "glue" / "plain"), "common.seed=2"]
    main(["args", *options])
    printed = capsys.readouterr().out
    assert "--num-classes 2" in printed and "--seed 2" in printed
    main(["args", "--hydra", *options])
    assert capsys.readouterr().out.startswith("common.seed=2 task.num_classes=2 ")
    main(["args", "--generation", *options])
    assert capsys.readouterr().out == "--gen-subset valid\n"


def test_user_dir_is_a_folder_that_fairseq_takes(capsys):
    main(["user-dir"])
    assert capsys.readouterr().out.strip() == USER_DIR


def test_what_the_user_got_wrong_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as ending:
        main(["args", "nothing.yaml"])
    assert str(ending.value) == "intra-distill args: nothing.yaml: no such configuration file"
    with pytest.raises(SystemExit) as ending:
        main(["no-such-command"])
    assert ending.value.code == 2


def test_a_task_that_hydra_cannot_set_up_is_named():
    with pytest.raises(UserError, match="fairseq-hydra-train cannot set up --task translation_mul"):
        hydra_overrides(CONFIGS / "multilingual" / "intra_x.yaml")
