"""Data directories of labelled text, as the commands make them, and models of them."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from fairseq import options
from fairseq.data import Dictionary, indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from intra_distill.files import write_lines

from .sentences import BERT, CRITERION, PLAIN, SIZES, TASK, WORDS, write_binary, write_sentences
from .training import USER_DIR, run_training

CLASSES = ("no", "yes")
OURS = [*TASK, *CRITERION, *PLAIN]
XLMR = [
    *"--arch xlm_roberta --encoder-layers 1 --encoder-embed-dim 32".split(),
    *"--encoder-ffn-embed-dim 64 --encoder-attention-heads 2 --max-positions 32".split(),
]
TAGGING = ["--task", "tagging_intra_distillation", *CRITERION, *PLAIN]
ANSWERING = ["--task", "span_prediction_intra_distillation", *CRITERION, *PLAIN]
TAGS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
TAG_OF = {"w0": "B-LOC", "w1": "I-LOC", "w2": "B-PER", "w3": "I-PER"}  # O of all other words
LANGUAGES = {"train": ("en", 120), "valid": ("en", 30), "test-ar": ("ar", 30), "test-de": ("de", 9)}
WINDOW, STRIDE = 8, 4  # of a passage, in words


def make_labelled(
    folder: Path,
    dataset: str,
    classes: tuple[str, ...] | None,
    metrics: tuple[str, ...],
    copies: dict[str, str] | None = None,
) -> Path:
    """Write a data directory whose test set has no labels.

    Args:
        folder: to write
        dataset: its name
        classes: the names of the classes; None for numbers from 0 to 5
        metrics: the primary one first
        copies: of valid or test, such as valid1, and the name of the data set that each is of
    """
    datasets = {**dict.fromkeys(SIZES, dataset), **(copies or {})}
    write_sentences(folder, "classes" if classes else "numbers", len(classes or ()))
    for copy in copies or ():
        for file in sorted(folder.glob(f"*/{copy.rstrip('0123456789')}.*")):
            shutil.copy(file, file.with_name(copy + file.suffix))
    for path in folder.glob("label/test*"):
        path.unlink()
    if classes:
        (folder / "label" / "dict.txt").write_text("".join(f"{name} 1\n" for name in classes))
    splits = {
        split: {
            "dataset": name,
            "sentences": SIZES.get(split, SIZES["valid"]),
            "labelled": not split.startswith("test"),
        }
        for split, name in datasets.items()
    }
    for split in splits:
        if split.startswith("valid"):
            text = "".join(f"{label}\n" for label in gold_labels(folder, split, classes))
            (folder / f"{split}.ref").write_text(text)
    report = {"form": "sentences", "dataset": dataset, "classes": classes, "metrics": metrics}
    (folder / "labels.json").write_text(json.dumps({**report, "pairs": True, "splits": splits}))
    return folder


def gold_labels(folder: Path, split: str, classes: Sequence[str] | None) -> list[str]:
    """The labels that fairseq reads, as text."""
    path = folder / "label" / split
    if classes is None:
        return path.with_suffix(".label").read_text().split()
    return [classes[int(label[0]) - 4] for label in indexed_dataset.MMapIndexedDataset(str(path))]


def make_words(folder: Path) -> Path:
    """Write a data directory of words, some of two pieces.

    Of ten tags one is drawn at random, so that no model has all; :data:`TAG_OF` has the others.
    """
    drawn = random.Random(1)
    pieces, tags = Dictionary(), Dictionary()
    for piece in (*WORDS, "more"):
        pieces.add_symbol(piece)
    for tag in TAGS:
        tags.add_symbol(tag)
    write_dictionaries(folder, {"input0": pieces, "label": tags})
    for split, (_, number) in LANGUAGES.items():
        inputs, labels, references = [], [], []
        for _ in range(number):
            words = drawn.choices(WORDS, k=drawn.randint(1, 8))
            cut = [[word, "more"] if drawn.random() < 0.3 else [word] for word in words]
            gold = [
                drawn.choice(TAGS) if drawn.random() < 0.1 else TAG_OF.get(word, "O")
                for word in words
            ]
            unscored = [["<pad>"] * (len(word) - 1) for word in cut]
            inputs.append(["<s>", *(piece for word in cut for piece in word), "</s>"])
            scored = [[tag, *rest] for tag, rest in zip(gold, unscored, strict=True)]
            labels.append(["<pad>", *(label for word in scored for label in word)])
            labels[-1] += ["<pad>", "<pad>"]
            references.append(" ".join(gold))
        write_binary(folder / "input0" / split, inputs, pieces)
        write_binary(folder / "label" / split, labels, tags, end=False)
        write_references(folder, split, references)
    return write_report(folder, "words", TAGS, ["entity-F1"])


def make_questions(folder: Path) -> Path:
    """Write a data directory of questions, whose answer is the word w0 and what follows it."""
    drawn = random.Random(1)
    pieces = Dictionary()
    for piece in (*WORDS, "which"):
        pieces.add_symbol(piece)
    write_dictionaries(folder, {"input0": pieces})
    for split, (_, number) in LANGUAGES.items():
        inputs, labels, references, questions = [], [], [], []
        for i in range(number):
            words = drawn.choices(WORDS[1:], k=drawn.randint(2, 12))
            first = drawn.randrange(len(words) - 1)
            words[first] = "w0"
            ends = [sum(len(word) + 1 for word in words[: j + 1]) - 1 for j in range(len(words))]
            starts = range(0, max(len(words) - WINDOW + STRIDE, 1), STRIDE)
            windows = [[4, start, len(words[start : start + WINDOW])] for start in starts]
            for offset, start, length in windows:
                inputs.append(["<s>", "which", "</s>", "</s>", *words[start : start + length]])
                whole = start <= first and first + 1 < start + length
                span = [offset + first - start, offset + first + 1 - start] if whole else [0, 0]
                labels.append(" ".join(map(str, span)))
            spans = [[end - len(word), end] for word, end in zip(words, ends, strict=True)]
            question = {"id": f"{split}-{i}", "passage": " ".join(words)}
            questions.append(json.dumps({**question, "spans": spans, "windows": windows}))
            references.append(json.dumps([" ".join(words[first : first + 2]), "w0"]))
        write_binary(folder / "input0" / split, inputs, pieces)
        write_lines(folder / "label" / f"{split}.label", labels)
        write_references(folder, split, references)
        if split != "train":
            write_lines(folder / f"{split}.questions", questions)
    return write_report(folder, "questions", None, ["answer-F1", "exact-match"])


def write_dictionaries(folder: Path, dictionaries: dict[str, Dictionary]) -> None:
    for name in ("input0", "label"):
        (folder / name).mkdir(parents=True)
    for name, dictionary in dictionaries.items():
        dictionary.save(str(folder / name / "dict.txt"))


def write_references(folder: Path, split: str, lines: list[str]) -> None:
    if split != "train":
        write_lines(folder / f"{split}.ref", lines)


def write_report(
    folder: Path, form: str, classes: Sequence[str] | None, metrics: Sequence[str]
) -> Path:
    """Write labels.json of :data:`LANGUAGES`, and return the folder."""
    splits = {
        split: {"dataset": lang, "sentences": number, "labelled": True}
        for split, (lang, number) in LANGUAGES.items()
    }
    report = {"form": form, "dataset": "tiny", "classes": classes, "metrics": metrics}
    (folder / "labels.json").write_text(json.dumps({**report, "pairs": False, "splits": splits}))
    return folder


def train_xlmr(data: Path, folder: Path, updates: int, *arguments: str) -> Path:
    """Train a tiny XLM-R on a data directory of words or questions → its last checkpoint."""
    form = json.loads((data / "labels.json").read_text())["form"]
    system = {"words": TAGGING, "questions": ANSWERING}[form]
    return train_on(data, folder, updates, [*system, *XLMR, *arguments])


def train_predictor(
    data: Path, folder: Path, updates: int, *arguments: str, system: Sequence[str] = OURS
) -> Path:
    """Train a tiny BERT on a data directory → its last checkpoint.

    Later arguments replace earlier ones. ``system`` has the task and the criterion.
    """
    classes = json.loads((data / "labels.json").read_text())["classes"]
    kind = (
        ["--num-classes", str(len(classes))]
        if classes
        else ["--num-classes", "1", "--regression-target"]
    )
    return train_on(data, folder, updates, [*system, *kind, *BERT, *arguments])


def train_on(data: Path, folder: Path, updates: int, arguments: Sequence[str]) -> Path:
    args = options.parse_args_and_arch(
        options.get_training_parser(),
        [
            *(str(data), "--save-dir", str(folder), "--cpu", "--no-progress-bar"),
            *("--user-dir", USER_DIR, "--optimizer", "adam", "--lr", "0.01", "--batch-size", "30"),
            *("--max-update", str(updates), "--no-epoch-checkpoints", "--disable-validation"),
            *("--num-workers", "0", "--required-batch-size-multiple", "1", *arguments),
        ],
    )
    run_training(convert_namespace_to_omegaconf(args))
    return folder / "checkpoint_last.pt"
