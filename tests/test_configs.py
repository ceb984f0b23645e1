"""The configurations of the recipes: what they say, and the published ones at full size.

An update of a system of WMT'17 takes up to 10 GB of memory: FULL_SIZE=1 runs these tests too.
"""

import math
import os
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fairseq.data import Dictionary, LanguagePairDataset, ListDataset
from fairseq.dataclass.initialize import add_defaults, hydra_init
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import MODEL_REGISTRY
from fairseq.options import get_training_parser, parse_args_and_arch
from fairseq.tasks import TASK_REGISTRY
from fairseq.trainer import Trainer
from hydra import compose, initialize_config_dir
from omegaconf import MISSING, DictConfig

from intra_distill.tools.config import (
    NO_SYSTEMS,
    System,
    config_arguments,
    hydra_overrides,
    load_config,
)

from .support.training import CONFIGS, USER_DIR

FILES = sorted(path for path in CONFIGS.glob("*/*.yaml") if path.stem not in NO_SYSTEMS)
DATASETS = {
    path.parent.name: list(load_config(path)) for path in sorted(CONFIGS.glob("*/datasets.yaml"))
}
COMMAND = re.compile(r"^#   (?:.* )?bash (scripts/\S+\.sh)( .*)?$", re.MULTILINE)
# "  KEY: VALUE  # plain: VALUE OF THE PLAIN SYSTEM; WHY", and "  # plain: KEY: VALUE" of a line
# that the plain system has beyond
MARKED = re.compile(r"  (?P<key>\w+): \S+  # plain: (?P<value>[^;]+)(;.*)?")
REMOVED = re.compile(r"  # plain: (?P<line>\w+: .+)")
TYPES = {"iwslt14": 12_001, "wmt17": 32_001}
PARAMETERS = {
    "iwslt14": {"transformer": 49_976_832, "switch": 87_805_440},
    "wmt17": {"transformer": 274_664_448, "switch": 576_887_808},
}
SYSTEMS = ["transformer", "sage", "r_drop", "switch", "intra_js", "intra_x"]
CASES = [
    pytest.param(
        recipe,
        system,
        id=f"{recipe}/{system}",
        marks=pytest.mark.skipif(
            recipe == "wmt17" and "FULL_SIZE" not in os.environ, reason="set FULL_SIZE=1"
        ),
    )
    for recipe in TYPES
    for system in SYSTEMS
]


def file_id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def plain(path: Path) -> Path:
    """The plain system beside a file."""
    names = ("transformer", "plain")
    return next(file for name in names if (file := path.with_stem(name)).exists())


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_the_marks_of_a_file_are_its_differences_from_the_plain_system(path):
    assert list(unmarked(body(path))) == list(body(plain(path)))


def body(path: Path) -> list[str]:
    """The lines below the head comment, which ends with an empty line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[lines.index("") + 1 :]


def unmarked(lines: list[str]):
    """The lines with the value of the plain system in each that is marked."""
    for line in lines:
        if marked := MARKED.fullmatch(line):
            if marked["value"] != "none":
                yield f"  {marked['key']}: {marked['value']}"
        elif removed := REMOVED.fullmatch(line):
            yield f"  {removed['line']}"
        else:
            assert "plain:" not in line
            yield line


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.yaml")), ids=file_id)
def test_the_head_of_a_file_has_the_command_that_uses_it(path):
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    ((script, arguments),) = COMMAND.findall(head)
    assert (CONFIGS.parent / script).is_file()
    recipe, system = path.parent.name, path.stem
    if script in ("scripts/train.sh", "scripts/self_distill.sh") and system != "datasets":
        expected = f"{recipe} 1" if system == "self_distillation" else f"{recipe} {system}"
        assert arguments == f" {expected}"
    else:
        assert f"{script}{arguments}".startswith(
            tuple(f"scripts/{each}" for each in (f"{recipe}.sh", f"{recipe}/"))
            + tuple(f"scripts/{each} {recipe}" for each in ("report.sh", "train.sh"))
        )


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_fairseq_takes_the_arguments_of_every_file(path):
    arguments = config_arguments(path, dataset=DATASETS.get(path.parent.name, [None])[0])
    parse_args_and_arch(get_training_parser(), ["data", "--user-dir", USER_DIR, *arguments])


CASES_OF_DATASETS = [
    pytest.param(path, dataset, id=f"{file_id(path)}/{dataset}")
    for path in FILES
    for dataset in DATASETS.get(path.parent.name, ())
]


@pytest.mark.parametrize("path, dataset", CASES_OF_DATASETS)
def test_a_data_set_fills_all_that_is_missing_but_the_data(path, dataset):
    values = load_config(path, dataset=dataset)
    missing = [
        f"{group}.{key}"
        for group, options in values.items()
        for key, value in options.items()
        if value == MISSING
    ]
    assert missing == ["task.data"]


SMALL, FULL = CONFIGS / "multi30k", CONFIGS / "multi30k_full"


@pytest.mark.parametrize("system", [path.stem for path in FILES if path.parent == FULL])
def test_a_method_is_the_same_in_both_recipes_of_multi30k(system):
    small, full = (load_config(folder / system) for folder in (SMALL, FULL))
    for group in ("task", "criterion", "optimizer", "generation"):
        assert small[group] == full[group]


def test_both_recipes_of_multi30k_have_the_same_pairs():
    assert DATASETS["multi30k"] == DATASETS["multi30k_full"]


def composed(path: Path, overrides: list[str]) -> DictConfig:
    """The configuration as fairseq-hydra-train sees it."""
    hydra_init(path.stem)
    with initialize_config_dir(str(path.parent), version_base="1.1"):
        cfg = compose(path.stem, overrides)
    add_defaults(cfg)
    return cfg


@pytest.mark.parametrize(
    "recipe, system, dataset",
    [
        ("iwslt14", "intra_x+criterion.constant_alpha=true", "de-en"),
        ("iwslt14", "sage", "pl-en"),
        ("glue", "plain", "mnli"),
        ("glue", "plain", "sts-b"),
        ("glue", "sage", "cola"),
        ("glue", "r_drop", "rte"),
        ("glue", "intra_x+criterion.divergence_reduction=sum", "mrpc"),
        ("glue", "intra_x+optimizer.adamax_betas=(0.8,0.99)+common.fp16=true", "sts-b"),
        ("panx", "intra_x+criterion.divergence_reduction=sum", None),
        ("tydiqa", "plain", None),
    ],
)
def test_both_entry_points_have_the_values_of_a_data_set(recipe, system, dataset):
    path = CONFIGS / recipe / system
    arguments = ["data", "--user-dir", USER_DIR, *config_arguments(path, dataset=dataset)]
    subset = config_arguments(path, dataset=dataset, generation=True)
    arguments += subset if recipe == "glue" else []  # the others have options of a search there
    args = parse_args_and_arch(get_training_parser(), arguments)
    ours = convert_namespace_to_omegaconf(args)
    file = path.with_name(f"{System.of(system).config}.yaml")
    theirs = composed(file, [*hydra_overrides(path, dataset=dataset), "task.data=data"])
    for group, options in load_config(path, ["task.data=data"], dataset).items():
        for key in options:
            if group != "generation":
                # an argparse component has a namespace
                assert getattr(ours[group], key) == getattr(theirs[group], key), (group, key)


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_the_systems_of_a_recipe_differ_in_their_method_alone(path):
    method = {"task": {"num_passes", "cutoff"}, "model": {"_name", "num_experts"}}
    method["criterion"] = {"_name", "divergence", "divergence_reduction"}
    method["criterion"] |= {"alpha", "alpha_p", "alpha_q", "constant_alpha", "supervised_passes"}
    # SAGE has a learning rate and betas of its own, and tells matrices from biases
    method["optimization"] = {"lr"}
    method["common"] = {"fp16_no_flatten_grads"}
    method["optimizer"] = {"_name", "sage_base", "sage_beta1", "sage_beta2", "sage_beta3"}
    method["optimizer"] |= {"adam_betas", "adamax_betas", "adamax_eps", "no_bias_correction", "lr"}

    def shared(path: Path) -> dict:
        return {
            group: {
                key: value for key, value in options.items() if key not in method.get(group, {})
            }
            for group, options in load_config(path).items()
        }

    assert shared(path) == shared(plain(path))


def configuration(recipe: str, system: str, data: Path):
    overrides = ["common.fp16=false", "common.cpu=true", "task.source_lang=de"]
    overrides += ["task.target_lang=en", "optimization.update_freq=[1]"]
    arguments = config_arguments(CONFIGS / recipe / f"{system}.yaml", overrides)
    arguments = [str(data), "--user-dir", USER_DIR, *arguments]
    return convert_namespace_to_omegaconf(parse_args_and_arch(get_training_parser(), arguments))


def build(recipe: str, system: str, data: Path):
    """A task with dictionaries of the recipe's size, its model and its configuration."""
    dictionary = Dictionary()
    for i in range(TYPES[recipe] - len(dictionary)):
        dictionary.add_symbol(str(i))
    cfg = configuration(recipe, system, data)
    task = TASK_REGISTRY[cfg.task._name](cfg.task, dictionary, dictionary)
    return task, task.build_model(cfg.model), cfg


@pytest.mark.parametrize("recipe, system", [(r, s) for r in TYPES for s in SYSTEMS])
def test_a_published_model_has_the_papers_parameters(recipe, system, tmp_path):
    with torch.device("meta"):
        _, model, _ = build(recipe, system, tmp_path)
    expected = PARAMETERS[recipe]["switch" if system == "switch" else "transformer"]
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize(
    "recipe, arch, types, parameters",
    [
        ("glue", "bert", 30_522, 109_482_240 + 2 * 768),  # two empty rows before the positions
        # Hugging Face counts a pooler and a type embedding more
        ("panx", "xlm_roberta", 250_002, 559_890_432 - 1_049_600 - 1024),
        ("tydiqa", "xlm_roberta", 250_002, 278_043_648 - 590_592 - 768),
    ],
)
def test_the_model_of_a_recipe_is_the_published_one(recipe, arch, types, parameters, monkeypatch):
    # it copies to the CPU, which a tensor without data cannot
    monkeypatch.setattr(f"intra_distill.models.{arch}.init_bert_params", lambda module: None)
    file = CONFIGS / recipe / "plain.yaml"
    dataset = DATASETS.get(recipe, [None])[0]
    arguments = ["data", "--user-dir", USER_DIR, *config_arguments(file, dataset=dataset)]
    cfg = convert_namespace_to_omegaconf(parse_args_and_arch(get_training_parser(), arguments))
    dictionary = Dictionary()
    for i in range(types - len(dictionary)):
        dictionary.add_symbol(str(i))
    task = SimpleNamespace(source_dictionary=dictionary)
    with torch.device("meta"):
        model = MODEL_REGISTRY[arch].build_model(cfg.model, task)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("recipe, system", CASES)
def test_a_published_system_can_be_trained(recipe, system, tmp_path):
    torch.manual_seed(1)
    task, model, cfg = build(recipe, system, tmp_path)
    task.total_updates = cfg.optimization.max_update
    trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
    draw = random.Random(1)
    sentences = [
        torch.tensor([draw.randrange(4, TYPES[recipe]) for _ in range(length)] + [2])
        for length in (3, 5, 5, 6)
    ]
    sizes = [len(sentence) for sentence in sentences]
    side = ListDataset(sentences, sizes)
    types = task.source_dictionary
    dataset = LanguagePairDataset(side, sizes, types, side, sizes, types)
    before = model.decoder.output_projection.weight[:8].clone()
    trainer.begin_epoch(1)
    batch = dataset.collater(list(map(dataset.__getitem__, range(4))))
    log = trainer.train_step([batch])
    # an untrained model knows as much as chance
    assert abs(float(log["nll_loss"]) - math.log2(TYPES[recipe])) < 2
    trainer.train_step([batch])  # warm-up begins at a learning rate of 0
    assert not torch.equal(model.decoder.output_projection.weight[:8], before)
