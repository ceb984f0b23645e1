"""Made-up words with tags, and questions with answers, that a tiny XLM-R learns, in binaries."""

import random
from pathlib import Path

import torch
from fairseq.data import Dictionary, indexed_dataset

XLMR = [
    *"--arch xlm_roberta --encoder-layers 1 --encoder-embed-dim 32 --encoder-ffn-embed-dim".split(),
    *"64 --encoder-attention-heads 2 --max-positions 40".split(),
]
CRITERION = ["--criterion", "prediction_intra_distillation"]
TAGS = ["--task", "tagging_intra_distillation", *CRITERION]
SPANS = ["--task", "span_prediction_intra_distillation", *CRITERION]
PIECES = [f"w{i}" for i in range(12)]
CLASSES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
# the pieces that begin a word of each class; any other is the second piece of a word
TAG_OF = dict(zip(PIECES, ["O", "O", "B-LOC", "I-LOC", "B-PER", "I-PER"]))
NUMBER = {"train": 120, "valid": 30, "test-ar": 20, "test-de": 25}


def write_words(folder: Path) -> Path:
    """Write sentences in pieces, each word with the tag that its first piece says."""
    drawn, dictionary, labels = random.Random(1), pieces(), Dictionary()
    for tag in CLASSES:
        labels.add_symbol(tag)
    save_dictionaries(folder, dictionary, labels)
    for split, number in NUMBER.items():
        inputs, targets = [], []
        for _ in range(number):
            sentence, tags = ["<s>"], ["<pad>"]
            for word in drawn.choices([*TAG_OF], k=drawn.randint(1, 6)):
                later = drawn.choices(PIECES[len(TAG_OF) :], k=drawn.randint(0, 2))
                sentence += [word, *later]
                tags += [TAG_OF[word], *["<pad>"] * len(later)]
            inputs.append([*sentence, "</s>", "</s>"])
            targets.append([*tags, "<pad>", "<pad>"])
        write_items(folder / "input0" / split, inputs, dictionary)
        write_items(folder / "label" / split, targets, labels)
    return folder


def write_questions(folder: Path) -> Path:
    """Write questions with passages; the answer is from w0 to w1, which one in five has not."""
    drawn, dictionary = random.Random(1), pieces()
    save_dictionaries(folder, dictionary)
    for split, number in NUMBER.items():
        inputs, spans = [], []
        for _ in range(number):
            question = drawn.choices(PIECES[2:], k=drawn.randint(1, 4))
            before, within, after = (
                drawn.choices(PIECES[2:], k=drawn.randint(0, 3)) for _ in "abc"
            )
            passage, span = [*before, "w2", *within, *after], (0, 0)
            if drawn.random() < 0.8:
                passage = [*before, "w0", *within, "w1", *after]
                first = len(question) + 3 + len(before)
                span = (first, first + len(within) + 1)
            inputs.append(["<s>", *question, "</s>", "</s>", *passage, "</s>"])
            spans.append(span)
        write_items(folder / "input0" / split, inputs, dictionary)
        text = "".join(f"{first} {last}\n" for first, last in spans)
        (folder / "label" / f"{split}.label").write_text(text)
    return folder


def pieces() -> Dictionary:
    dictionary = Dictionary()
    for piece in PIECES:
        dictionary.add_symbol(piece)
    return dictionary


def save_dictionaries(folder: Path, inputs: Dictionary, labels: Dictionary | None = None) -> None:
    """Make the folders of a data directory, with the dictionaries that they have."""
    for name, dictionary in (("input0", inputs), ("label", labels)):
        (folder / name).mkdir(parents=True)
        if dictionary:
            dictionary.save(str(folder / name / "dict.txt"))


def write_items(prefix: Path, items: list[list[str]], dictionary: Dictionary) -> None:
    """Write fairseq's binary of items that have all their symbols."""
    builder = indexed_dataset.make_builder(f"{prefix}.bin", "mmap", vocab_size=len(dictionary))
    for item in items:
        builder.add_item(torch.IntTensor([dictionary.index(symbol) for symbol in item]))
    builder.finalize(f"{prefix}.idx")
