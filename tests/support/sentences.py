"""Made-up labelled sentences that a tiny BERT learns, as fairseq's binaries."""

import random
from pathlib import Path

import torch
from fairseq.data import Dictionary, indexed_dataset

BERT = [
    *"--arch bert --encoder-layers 1 --encoder-embed-dim 32 --encoder-ffn-embed-dim 64".split(),
    *"--encoder-attention-heads 2 --max-positions 32 --init-token 0".split(),
]
TASK = ["--task", "sentence_prediction_intra_distillation"]
CRITERION = ["--criterion", "prediction_intra_distillation"]
CLASSES = [*TASK, *CRITERION, "--num-classes", "2"]
NUMBERS = [*TASK, *CRITERION, "--num-classes", "1", "--regression-target", "--divergence", "mse"]
PLAIN = ["--num-passes", "1", "--alpha", "0"]
WORDS = [f"w{i}" for i in range(12)]
SIZES = {"train": 120, "valid": 30, "test": 30}


def write_sentences(folder: Path, kind: str, classes: int = 2) -> Path:
    """Write pairs of sentences with labels, of the splits train, valid and test.

    Args:
        kind: "classes" or "numbers", of which there are six; either is the number of the word
            that the first sentence begins with
        classes: how many there are
    """
    drawn = random.Random(1)
    dictionary, labels = Dictionary(), Dictionary()
    for word in WORDS:
        dictionary.add_symbol(word)
    for label in range(classes):
        labels.add_symbol(str(label))
    for side in ("input0", "input1", "label"):
        (folder / side).mkdir(parents=True)
    for side in ("input0", "input1"):
        dictionary.save(str(folder / side / "dict.txt"))
    if kind == "classes":
        labels.save(str(folder / "label" / "dict.txt"))
    for split, number in SIZES.items():
        lines: dict[str, list] = {"input0": [], "input1": [], "label": []}
        for _ in range(number):
            label = drawn.randrange(classes if kind == "classes" else 6)
            first = [WORDS[label], *drawn.choices(WORDS, k=drawn.randint(1, 5))]
            second = drawn.choices(WORDS, k=drawn.randint(1, 5))
            lines["input0"].append(first)
            lines["input1"].append(second)
            lines["label"].append([str(label)])
        for side in ("input0", "input1"):
            write_binary(folder / side / split, lines[side], dictionary)
        if kind == "classes":
            write_binary(folder / "label" / split, lines["label"], labels)
        else:
            text = "".join(f"{label}\n" for (label,) in lines["label"])
            (folder / "label" / f"{split}.label").write_text(text)
    return folder


def write_binary(
    prefix: Path, lines: list[list[str]], dictionary: Dictionary, end: bool = True
) -> None:
    """Write fairseq's binary of sentences in words, each with </s> unless there is no ``end``."""
    builder = indexed_dataset.make_builder(f"{prefix}.bin", "mmap", vocab_size=len(dictionary))
    for line in lines:
        ids = [dictionary.index(word) for word in line]
        builder.add_item(torch.IntTensor([*ids, dictionary.eos()] if end else ids))
    builder.finalize(f"{prefix}.idx")
