"""The published configurations at full size: their parameters counted, and updates made.

The updates of WMT'17 take up to 10 GB of memory each: FULL_SIZE=1 runs them too.
"""

import math
import os
import random
from pathlib import Path

import pytest
import torch
from fairseq.data import Dictionary, LanguagePairDataset, ListDataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch
from fairseq.tasks import TASK_REGISTRY
from fairseq.trainer import Trainer

from intra_distill.tools.config import config_arguments

from .support.training import CONFIGS, USER_DIR

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
