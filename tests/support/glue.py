"""Small GLUE tasks in GLUE's own layout with text of our own, and a tiny BERT's vocabulary."""

import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from intra_distill.tools.corpora.glue.tasks import TASKS, GlueTask

from .archives import zipped

SIZES = {"train": 60, "valid": 20, "test": 12}
WORDS = "house tree water bread friend city night book road bird hand sea the of and".split()
MARKS = ("red", "green", "blue")  # a word for each class: a model can learn it
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PUNCTUATION = ".,'\"?!()[]-"
SPECIAL_PIECES = ("[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = [
    *[*SPECIAL_PIECES, *CHARACTERS, *PUNCTUATION, *(f"##{c}" for c in CHARACTERS)],
    *[*WORDS, *MARKS, "##ing", "cafe", "ein", "中"],
]
BOM = "\ufeff"

CLASSES = {
    **dict.fromkeys(("cola", "sst-2", "mrpc", "qqp"), ("0", "1")),
    **dict.fromkeys(("qnli", "rte"), ("entailment", "not_entailment")),
    "mnli": ("contradiction", "entailment", "neutral"),
    "sts-b": None,
}
SINGLE_SENTENCES = ("cola", "sst-2")
# what is awkward in real text: quotation marks, accents, other scripts, empty or long sentences
NASTY = [
    ('the "book', 'an "unbalanced quotation mark'),
    ("Café ÉTÉ naïve Ａ", "ＣＡＦＥ\u0301 \u00adsoft"),
    ("中文的書 tree", "日本 中 house"),
    ("the house .", ""),
    ("", "the house ."),
    ("the house [SEP] the tree [MASK] <mask> </s>", "[CLS] [PAD] [UNK] <unk>"),
    ("bread " * 300, "water"),
    ("bread", "water " * 300),
    ("bread " * 200, "water " * 150),
    ("x" * 150, " two  spaces\u2028and\x85more\xa0"),
]


class Layout(NamedTuple):
    """A file of a task: its header, and how a line is made of an example."""

    file: str
    header: str | None
    line: str


def tabbed(text: str) -> str:
    return text.replace(" | ", "\t")


def layouts(folder: str, header: str, line: str, test: str, test_line: str) -> dict[str, Layout]:
    """Those of a task with three files and headers; ``|`` stands for a tab."""
    return {
        "train": Layout(f"{folder}/train.tsv", tabbed(header), tabbed(line)),
        "valid": Layout(f"{folder}/dev.tsv", tabbed(header), tabbed(line)),
        "test": Layout(f"{folder}/test.tsv", tabbed(test), tabbed(test_line)),
    }


STS_B = "index | genre | filename | year | old_index | source1 | source2 | sentence1 | sentence2"
STS_B_LINE = "{i} | main-captions | MSRvid | 2012test | 0001 | none | none | {a} | {b}"
MNLI = (
    "index | promptID | pairID | genre | sentence1_binary_parse | sentence2_binary_parse | "
    "sentence1_parse | sentence2_parse | sentence1 | sentence2"
)
MNLI_LINE = "{i} | 1 | 1n | fiction | ( a ) | ( b ) | (ROOT) | (ROOT) | {a} | {b}"
MRPC = tabbed("Quality | #1 ID | #2 ID | #1 String | #2 String")
MRPC_LINE = tabbed("{label} | {i} | 9{i} | {a} | {b}")
MNLI_DEV = (
    tabbed(f"{MNLI} | label1 | label2 | label3 | label4 | label5 | gold_label"),
    tabbed(f"{MNLI_LINE} | neutral | neutral | neutral | neutral | neutral | {{label}}"),
)
LAYOUTS: dict[str, dict[str, Layout]] = {
    "cola": {
        "train": Layout("CoLA/train.tsv", None, "gj04\t{label}\t\t{a}"),
        "valid": Layout("CoLA/dev.tsv", None, "gj04\t{label}\t*\t{a}"),
        "test": Layout("CoLA/test.tsv", "index\tsentence", "{i}\t{a}"),
    },
    "sst-2": layouts("SST-2", "sentence | label", "{a} | {label}", "index | sentence", "{i} | {a}"),
    "mrpc": {
        "train": Layout("MRPC/msr_paraphrase_train.txt", BOM + MRPC, MRPC_LINE),
        "valid": Layout("MRPC/msr_paraphrase_train.txt", BOM + MRPC, MRPC_LINE),
        "test": Layout("MRPC/msr_paraphrase_test.txt", BOM + MRPC, MRPC_LINE),
    },
    "qqp": layouts(
        "QQP",
        "id | qid1 | qid2 | question1 | question2 | is_duplicate",
        "{i} | 1{i} | 2{i} | {a} | {b} | {label}",
        "id | question1 | question2",
        "{i} | {a} | {b}",
    ),
    "sts-b": layouts("STS-B", f"{STS_B} | score", f"{STS_B_LINE} | {{label}}", STS_B, STS_B_LINE),
    "mnli": {
        "train": Layout(
            "MNLI/train.tsv",
            tabbed(f"{MNLI} | label1 | gold_label"),
            tabbed(f"{MNLI_LINE} | neutral | {{label}}"),
        ),
        "valid": Layout("MNLI/dev_matched.tsv", *MNLI_DEV),
        "valid1": Layout("MNLI/dev_mismatched.tsv", *MNLI_DEV),
        "test": Layout("MNLI/test_matched.tsv", tabbed(MNLI), tabbed(MNLI_LINE)),
        "test1": Layout("MNLI/test_mismatched.tsv", tabbed(MNLI), tabbed(MNLI_LINE)),
        "test2": Layout("AX.tsv", "index\tsentence1\tsentence2", "{i}\t{a}\t{b}"),
    },
    "qnli": layouts(
        "QNLI",
        "index | question | sentence | label",
        "{i} | {a} | {b} | {label}",
        "index | question | sentence",
        "{i} | {a} | {b}",
    ),
    "rte": layouts(
        "RTE",
        "index | sentence1 | sentence2 | label",
        "{i} | {a} | {b} | {label}",
        "index | sentence1 | sentence2",
        "{i} | {a} | {b}",
    ),
}

Text = tuple[str, str | None, str | None]  # the sentences of an example, and its label


def make_example(task: str, rng: random.Random) -> Text:
    """An example whose label can be learnt: a word for the class; the score is the common words."""
    words = rng.choices(WORDS, k=rng.randint(5, 9))
    other = rng.choices(WORDS, k=5)
    classes = CLASSES[task]
    if classes is None:
        shared = rng.randint(0, 5)
        first, second = words, words[:shared] + ["sea"] * (5 - shared)
        label = f"{shared}.000"
    else:
        number = rng.randrange(len(classes))
        first, second = [*words, MARKS[number]], other
        label = classes[number]
    return " ".join(first), None if task in SINGLE_SENTENCES else " ".join(second), label


def glue_examples(task: str, sizes: dict[str, int] = SIZES) -> dict[str, list[Text]]:
    """What is to come out of a task's files; the last ones of each split are the nasty ones."""
    made = {}
    for split, layout in LAYOUTS[task].items():
        rng = random.Random(f"{task} {split}")
        examples = [make_example(task, rng) for _ in range(sizes[split.rstrip("12")])]
        for (first, second), (_, _, label) in zip(NASTY, list(examples)):
            examples.append((first, None if task in SINGLE_SENTENCES else second, label))
        if "{label}" not in layout.line:
            examples = [(first, second, None) for first, second, _ in examples]
        made[split] = examples
    return made


def lines_of(layout: Layout, examples: Iterable[Text], first_index: int = 0) -> list[str]:
    return [
        layout.line.format(i=i, a=a, b=b, label=label)
        for i, (a, b, label) in enumerate(examples, start=first_index)
    ]


def glue_files(task: str, sizes: dict[str, int] = SIZES) -> dict[str, bytes]:
    """The files of a task as GLUE has them, by their paths."""
    files: dict[str, list[str]] = {}
    for split, examples in glue_examples(task, sizes).items():
        layout = LAYOUTS[task][split]
        if layout.file not in files:
            files[layout.file] = [] if layout.header is None else [layout.header]
        lines = lines_of(layout, examples, len(files[layout.file]))
        if task == "mrpc" and split == "valid":
            files["MRPC/mrpc_dev_ids.tsv"] = ["\t".join(line.split("\t")[1:3]) for line in lines]
        files[layout.file] += lines
    if task == "mrpc":  # the pairs of the two sets are mixed
        header, *lines = files["MRPC/msr_paraphrase_train.txt"]
        train = len(glue_examples(task, sizes)["train"])
        mixed = [*lines[: train // 2], *lines[train:], *lines[train // 2 : train]]
        files["MRPC/msr_paraphrase_train.txt"] = [header, *mixed]
    return {name: "".join(f"{line}\n" for line in lines).encode() for name, lines in files.items()}


def write_glue(folder: Path, task: str, sizes: dict[str, int] = SIZES) -> Path:
    """Write the files of a task below a folder, and return the folder."""
    for name, content in glue_files(task, sizes).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_glue_downloads(folder: Path, task: str, sizes: dict[str, int] = SIZES) -> GlueTask:
    """Write what is to be fetched of a task; return the task whose files are pinned to these."""
    folder.mkdir(parents=True, exist_ok=True)
    row, files = TASKS[task], glue_files(task, sizes)
    single = {Path(name).name: content for name, content in files.items()}
    contents = {each.name: single[each.name] for each in row.single_files}
    if row.archive is not None:
        contents[row.archive.name] = zipped(
            {name: content for name, content in files.items() if Path(name).name not in contents}
        )
    for name, content in contents.items():
        (folder / name).write_bytes(content)

    def pinned(remote):
        content = contents[remote.name]
        return replace(remote, size=len(content), sha256=hashlib.sha256(content).hexdigest())

    return replace(
        row,
        archive=row.archive and pinned(row.archive),
        single_files=tuple(map(pinned, row.single_files)),
    )


def write_bert(folder: Path, lowercase: bool = True, pieces: Iterable[str] = PIECES) -> Path:
    """Write what ``intra-distill glue`` needs of a BERT, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = list(pieces)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    in_dictionary = [f"{piece} 0\n" for piece in pieces if piece not in special]
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    (folder / "dict.txt").write_text("".join(in_dictionary), encoding="utf-8")
    (folder / "bert.json").write_text(json.dumps({"lowercase": lowercase}))
    return folder
