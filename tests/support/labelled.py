"""Data directories of labelled sentences as ``intra-distill glue`` makes them, and tiny BERTs."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from fairseq import options
from fairseq.data import Dictionary, indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from .training import USER_DIR, run_training

WORDS = "good bad fine poor film play song book".split()
Label = Callable[[list[str], list[str]], str]  # of a sentence and the one after it


@dataclass(frozen=True)
class Kind:
    """What is predicted in a data directory."""

    dataset: str
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    label: Label
    pairs: bool = True


def same_word(first: list[str], second: list[str]) -> str:
    return "entailment" if first[0] == second[0] else "not_entailment"


RTE = Kind("rte", ("entailment", "not_entailment"), ("accuracy",), same_word)
MRPC = Kind(
    "mrpc", ("0", "1"), ("F1", "accuracy"), lambda first, second: str(int(first[0] == second[0]))
)
COLA = Kind(
    "cola",
    ("0", "1"),
    ("MCC", "accuracy"),
    lambda first, _: str(int(first[0] in WORDS[:4])),
    pairs=False,
)
STS_B = Kind(
    "sts-b",
    None,
    ("Pearson", "Spearman"),
    lambda first, second: f"{5 * len({*first} & {*second}) / len({*first} | {*second}):.3f}",
)
MNLI = Kind(
    "mnli",
    ("contradiction", "entailment", "neutral"),
    ("accuracy",),
    lambda first, second: ("entailment", "neutral", "contradiction")[len({first[0], *second}) % 3],
)
SUBSETS = {"train": (120, True), "valid": (19, True), "test": (7, False)}


def make_labelled(
    folder: Path, kind: Kind, subsets: dict[str, tuple[int, bool]] = SUBSETS, seed: int = 1
) -> Path:
    """Write a data directory; of each subset, the number of sentences and whether it has labels."""
    rng = random.Random(seed)
    dictionary, labels = Dictionary(), Dictionary()
    for word in WORDS:
        dictionary.add_symbol(word)
    for name in kind.classes or ():
        labels.add_symbol(name)
    splits = {}
    for subset, (number, labelled) in subsets.items():
        examples = [
            [rng.choices(WORDS, k=rng.randint(1, 5)) for _ in range(2)] for _ in range(number)
        ]
        gold = [kind.label(*example) for example in examples]
        sides = dict(zip(["input0", "input1"][: 1 + kind.pairs], zip(*examples)))
        for side, sentences in sides.items():
            write_indexed(folder / side / subset, dictionary, sentences)
        if labelled:
            write_labels(folder, subset, kind, labels, gold)
        dataset = {"mnli": {"valid": "mnli-m", "valid1": "mnli-mm"}}.get(kind.dataset, {})
        splits[subset] = {
            "dataset": dataset.get(subset, kind.dataset),
            "sentences": number,
            "labelled": labelled,
            "truncated": 0,
        }
    for side in sides:
        dictionary.save(str(folder / side / "dict.txt"))
    if kind.classes:
        labels.save(str(folder / "label" / "dict.txt"))
    report = {
        "dataset": kind.dataset,
        "classes": kind.classes,
        "metrics": kind.metrics,
        "pairs": kind.pairs,
        "splits": splits,
    }
    (folder / "labels.json").write_text(json.dumps(report))
    return folder


def write_labels(
    folder: Path, subset: str, kind: Kind, labels: Dictionary, gold: Sequence[str]
) -> None:
    if subset != "train":
        (folder / f"{subset}.ref").write_text("".join(f"{label}\n" for label in gold))
    if kind.classes:
        write_indexed(folder / "label" / subset, labels, [[label] for label in gold])
    else:
        (folder / "label").mkdir(exist_ok=True)
        (folder / "label" / f"{subset}.label").write_text("".join(f"{label}\n" for label in gold))


def write_indexed(prefix: Path, dictionary: Dictionary, sentences: Sequence[Sequence[str]]) -> None:
    """Write what fairseq reads, with </s> at the end of each sentence."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    builder = indexed_dataset.make_builder(f"{prefix}.bin", impl="mmap", vocab_size=len(dictionary))
    for sentence in sentences:
        indices = [*map(dictionary.index, sentence), dictionary.eos()]
        builder.add_item(torch.tensor(indices))
    builder.finalize(f"{prefix}.idx")


def train_bert(data: Path, folder: Path, updates: int, *arguments: str) -> Path:
    """Train a tiny BERT on a data directory → its last checkpoint."""
    report = json.loads((data / "labels.json").read_text())
    kind = (
        ["--num-classes", str(len(report["classes"]))]
        if report["classes"]
        else ["--num-classes", "1", "--regression-target", "--divergence", "mse"]
    )
    args = options.parse_args_and_arch(
        options.get_training_parser(),
        [
            *(str(data), "--save-dir", str(folder), "--cpu", "--no-progress-bar"),
            *("--user-dir", USER_DIR, "--task", "sentence_prediction_intra_distillation"),
            *("--criterion", "prediction_intra_distillation", "--num-passes", "1", "--alpha", "0"),
            *(*kind, "--init-token", "0", "--arch", "bert", "--encoder-layers", "1"),
            *("--encoder-embed-dim", "16", "--encoder-ffn-embed-dim", "32"),
            *("--encoder-attention-heads", "2", "--max-positions", "32"),
            *("--optimizer", "adam", "--lr", "0.01", "--batch-size", "16", "--max-tokens", "500"),
            *("--max-update", str(updates), "--no-epoch-checkpoints", "--disable-validation"),
            *("--num-workers", "0", "--required-batch-size-multiple", "1", *arguments),
        ],
    )
    run_training(convert_namespace_to_omegaconf(args))
    return folder / "checkpoint_last.pt"
