"""Strange input.

Every option of every command, and every option that the plugin adds to fairseq-train, is given
values that it cannot have. Each ends in one line, and what is finished stays as it is.
"""

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch
from sacrebleu.dataset import DATASETS

from intra_distill import cli
from intra_distill.tools.preparation import translation

from ..conftest import INTRA, TASK, USER_DIR, run_training
from ..support.corpora import write_newstest2014

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("scripts/*/*.sh")])
HUGE = "1" + "0" * 30
LONG = "x" * 300  # a longer name than files can have
VALID_LINE = "2026-01-01 00:00:00 | INFO | valid | epoch 001 | loss 5 | num_updates 10\n"

Changes = dict[str, str | list[str] | bool | None]

CHECKPOINT = "runs/plain/checkpoint_best.pt"
SCORES = "sensitivity/plain.sensitivity.pt"
SEARCH = {"--beam": "1", "--cpu": True}
# of each command, a command line that works
WORKING: dict[str, Changes] = {
    "prepare": {
        "--source-lang": "de",
        "--target-lang": "en",
        "--train": "raw/train",
        "--valid": "raw/valid",
        "--test": "raw/test",
        "--vocab-size": "90",
        "--workers": "1",
        "--destdir": "new",
    },
    "args": {"config": "config.yaml"},
    "evaluate": {"data": "bin", "--path": CHECKPOINT, "--results-path": "new", **SEARCH},
    "average": {"--inputs": [CHECKPOINT, "runs/other/checkpoint_best.pt"], "--output": "new.pt"},
    "table": {"paths": ["runs"], "--csv": "new.csv", "--plot": "new.png"},
    "plot loss": {"paths": ["runs"], "--plot": "new.png"},
    "plot bleu": {"paths": ["runs"], "--plot": "new.png"},
    "plot sensitivity": {"paths": ["runs"], "--plot": "new.png"},
    "plot alpha": {"config": "config.yaml", "--plot": "new.png"},
    "sensitivity": {
        "data": "bin",
        "--path": [CHECKPOINT],
        "--batches": "1",
        "--results-path": "new",
        "--cpu": True,
    },
    "prune": {
        "data": "bin",
        "--path": [CHECKPOINT],
        "--sensitivity": [SCORES],
        "--ratios": "0.5",
        "--results-path": "new",
        **SEARCH,
    },
    "toy-corpus": {"--destdir": "new", "--train": "5", "--valid": "5", "--test": "5"},
    "iwslt14": {"--pair": "de-en", "--destdir": "new", "--source": "strange"},
    "wmt17": {"--destdir": "new", "--source": "strange"},
    "user-dir": {},
}


def command_line(command: str, changes: Changes) -> list[str]:
    """The working command line of a command with other values; None leaves an option out."""
    argv, positional = command.split(), []
    for name, value in {**WORKING[command], **changes}.items():
        values = value if isinstance(value, list) else [value]
        if not name.startswith("--"):
            positional += values
        elif value is True:
            argv.append(name)
        elif len(values) > 1:
            argv += [name, *values]
        elif value is not None:
            argv.append(f"{name}={values[0]}")
    return [*argv, "--", *positional] if positional else argv


def no_number(command: str, *options: str) -> list[tuple]:
    return [(command, {option: "3x"}, 2, f"{option}: invalid") for option in options]


def no_value(command: str, *options: str) -> list[tuple]:
    return [(command, {f"{option}": "yes"}, 2, f"{option}: ignored") for option in options]


def outside(command: str, option: str, least: str, *values: str) -> list[tuple]:
    """Values below the least one, and nan."""
    return [(command, {option: value}, 1, f"{option} must be {least}") for value in values]


ALL_COMMANDS = [
    (command, {option: value}, 2, expected)
    for command, working in WORKING.items()
    for option in list(working)[:1]
    for value, expected in [("", "empty"), ("a\nb", "change them"), ("\udcff", "change them")]
]
PREPARE = [
    *no_number("prepare", "--vocab-size", "--workers", "--max-ratio", "--max-length"),
    *no_number("prepare", "--train-pairs", "--hold-out", "--hold-out-every"),
    *no_number("prepare", "--sentencepiece-sample"),
    *no_value("prepare", "--lowercase"),
    ("prepare", {"--normalization": "nfd"}, 2, "--normalization: invalid choice"),
    *outside("prepare", "--max-ratio", "at least 1", "nan", "0.99", "-inf"),
    *outside("prepare", "--max-length", "at least 1", "0", "-1"),
    *outside("prepare", "--train-pairs", "at least 1", "0"),
    *outside("prepare", "--sentencepiece-sample", "at least 1", "-5"),
    *outside("prepare", "--workers", "at least 1", "0"),
    *outside("prepare", "--workers", "at most 1024", HUGE),
    *outside("prepare", "--vocab-size", "at least 4", "3", "-1"),
    *outside("prepare", "--vocab-size", "at most 1000000", "1000001", HUGE),
    ("prepare", {"--source-lang": "en"}, 1, "--source-lang and --target-lang are both en"),
    *(
        ("prepare", {option: lang}, 1, f"{option} '{lang}': fairseq finds a language")
        for option in ("--source-lang", "--target-lang")
        for lang in ("d/e", "-de", "d e", "zh-CN", "d.e", "../de")
    ),
    *(
        ("prepare", {option: f"strange/{prefix}"}, 1, expected)
        for option in ("--train", "--valid", "--test")
        for prefix, expected in {
            "none": "cannot read strange/none.de: No such file",
            "folder": "strange/folder.de is not a file",
            "loop": "cannot read strange/loop.de: Too many levels",
            "pipe": "strange/pipe.de is not a file",
            "zero": "strange/zero.de is not a file",
            "utf16": "strange/utf16.de, line 1: not UTF-8",
            "utf16_ascii": "strange/utf16_ascii.de, line 1: a byte order mark or NUL",
            "bom": "strange/bom.de, line 1: a byte order mark or NUL",
            "latin1": "strange/latin1.de, line 1: not UTF-8",
            "surrogate": "strange/surrogate.de, line 1: not UTF-8",
            "empty": "are empty",
            "short": "strange/short.de has 1 lines but strange/short.en has 2",
        }.items()
    ),
    ("prepare", {"--train": "strange/one"}, 1, "the largest possible is"),
    ("prepare", {"--train-pairs": "1"}, 1, "the largest possible is"),
    ("prepare", {"--test": "raw/test,raw/test"}, 1, "--test names raw/test 2 times"),
    ("prepare", {"--test": "raw/test,"}, 1, "cannot read .de"),
    ("prepare", {"--valid": None}, 1, "give one of --valid"),
    ("prepare", {"--hold-out": "5"}, 1, "not --valid and --hold-out"),
    ("prepare", {"--hold-out": HUGE, "--valid": None}, 1, "makes 1000000"),
    ("prepare", {"--hold-out-every": HUGE, "--valid": None}, 1, "makes 0 validation pairs"),
    ("prepare", {"--sentencepiece-text": "some"}, 2, "invalid choice"),
    ("prepare", {"--sentencepiece-sample": "1"}, 1, "the largest possible is"),
    ("prepare", {"--vocab-size": "5000"}, 1, "the largest possible is"),
    ("prepare", {"--destdir": "raw"}, 1, "raw holds other files"),
    ("prepare", {"--destdir": "bin", "--lowercase": True}, 1, "made with --lowercase False"),
    ("prepare", {"--destdir": "raw/train.de"}, 1, "is not a directory"),
    ("prepare", {"--destdir": "raw/train.de/x"}, 1, "Not a directory"),
    ("prepare", {"--destdir": "strange/loop.de"}, 1, "Too many levels"),
    ("prepare", {"--destdir": "strange/pipe"}, 1, "is a pipe or a device"),
    ("prepare", {"--destdir": "a,b"}, 1, "choose another name"),
    ("prepare", {"--destdir": LONG}, 1, "File name too long"),
]
ARGS = [
    *(
        ("args", {"config": f"strange/{name}"}, 1, expected)
        for name, expected in {
            "none": "no such configuration file",
            "folder.de": "no such configuration file",
            "loop.de": "no such configuration file",
            "pipe": "is a pipe or a device",
            "zero.de": "is a pipe or a device",
            "utf16.yaml": "can't decode byte",
            "latin1.yaml": "can't decode byte",
            "nul.yaml": "special characters are not allowed",
            "empty.de": "gives no options",
            "list.yaml": "strange/list.yaml",
            "number.yaml": "strange/number.yaml",
            "deep.yaml": "nested too deeply",
            "circle.yaml": "nested too deeply",
            "code.yaml": "could not determine a constructor",
            "nested.yaml": "write the value without spaces",
            "twice.yaml": "duplicate key",
            LONG: "File name too long",
        }.items()
    ),
    *(
        ("args", {"overrides": override}, 1, expected)
        for override, expected in {
            "alpha": "'alpha' is no override",
            "=1": "'=1' is no override",
            "task.=1": "'task.=1' is no override",
            "task..x=1": "is no override",
            "task.x=[": "config.yaml: while parsing",
            "task.x=${none}": "Interpolation key 'none' not found",
            "task.x=two words": "write the value without spaces",
            "task.x=a*": "for a pattern of file names",
        }.items()
    ),
    *no_value("args", "--generation"),
]
NO_CHECKPOINTS = {
    "strange/none": "there is no such checkpoint",
    "strange": "there is no such checkpoint",
    "strange/loop.de": "there is no such checkpoint",
    "strange/pipe": "is a pipe or a device",
    "raw/train.de": "is not a PyTorch checkpoint",
    "strange/empty.de": "is not a PyTorch checkpoint",
    LONG: "File name too long",
}
NO_RESULTS = {
    "strange/none": "No such file",
    "strange/loop.de": "Too many levels",
    "strange/pipe": "is a pipe or a device",
    "strange/zero.de": "is a pipe or a device",
    "raw/train.de": "is not a result of intra-distill evaluate",
    "strange/empty.de": "is not a result of intra-distill evaluate",
    "strange/utf16.de": "is not a result of intra-distill evaluate",
    "sensitivity/sensitivity.json": "is not a result of intra-distill evaluate",
    LONG: "File name too long",
}
NO_PICTURES = {
    "none/x.png": "there is no folder none",
    "raw/train.de/x.png": "there is no folder",
    "new": "call it .png",
    "new.xyz": "call it .png",
    "strange": "there is a folder of that name",
    "strange/pipe": "is a pipe or a device",
    LONG + ".png": "File name too long",
}
NO_FOLDERS = {
    "raw/train.de": "--results-path raw/train.de: File exists",
    "raw/train.de/x": "Not a directory",
    "strange/loop.de": "File exists",
    "strange/pipe": "is a pipe or a device",
    LONG: "File name too long",
}


def each(command: str, option: str, values: dict[str, str]) -> list[tuple]:
    several = isinstance(WORKING[command].get(option), list)
    return [
        (command, {option: [value] if several else value}, 1, expected)
        for value, expected in values.items()
    ]


SEARCHING = [
    row
    for command in ("evaluate", "prune")
    for row in [
        *no_number(command, "--beam", "--lenpen", "--max-tokens", "--max-len-a", "--max-len-b"),
        *outside(command, "--max-len-a", "at least 0", "nan", "-0.1", "-inf"),
        *outside(command, "--max-len-a", "at most 10000", "inf", "1e308"),
        *outside(command, "--max-len-b", "at least 1", "0", "-1"),
        *outside(command, "--max-len-b", "at most 10000", HUGE),
        (command, {"--tokenize": "14a"}, 2, "--tokenize: invalid choice"),
        *no_value(command, "--cpu"),
        *outside(command, "--beam", "at least 1", "0", "-1"),
        *outside(command, "--beam", "at most 1000", "1001", HUGE),
        *outside(command, "--lenpen", "a number from 0 on", "nan", "-0.1", "inf", "1e308"),
        *outside(command, "--max-tokens", "at least 1", "0"),
        *outside(command, "--max-tokens", "at most", HUGE),
        (command, {"--max-tokens": "2"}, 1, "more than --max-tokens 2: raise it"),
        *(
            (command, {"--gen-subset": subset}, 1, "has no subset")
            for subset in ("none", "train", "../bin/test", "*", LONG)
        ),
        *each(
            command,
            "data",
            {
                "none": "has no prepare.json",
                "raw": "has no prepare.json",
                "raw/train.de": "has no prepare.json",
                "strange/broken": "is not what intra-distill prepare wrote",
                "strange/loop.de": "Too many levels",
                "strange/pipe": "is a pipe or a device",
                LONG: "File name too long",
            },
        ),
        *each(command, "--path", NO_CHECKPOINTS),
        *each(command, "--results-path", NO_FOLDERS),
    ]
]
EVALUATE = [
    *each("evaluate", "--baseline", NO_RESULTS),
    ("evaluate", {"--name": " "}, 1, "--name is blank"),
]
AVERAGE = [
    *no_number("average", "--num-epoch-checkpoints", "--num-update-checkpoints"),
    *no_number("average", "--checkpoint-upper-bound"),
    *each("average", "--inputs", {**NO_CHECKPOINTS, SCORES: "is not a checkpoint"}),
    ("average", {"--inputs": [CHECKPOINT, CHECKPOINT]}, 1, "is the same as"),
    ("average", {"--checkpoint-upper-bound": "3"}, 1, "goes with --num-epoch-checkpoints"),
    *(
        ("average", {"--inputs": ["runs/plain"], option: number}, 1, "checkpoints are asked for")
        for option in ("--num-epoch-checkpoints", "--num-update-checkpoints")
        for number in ("0", "-1", "2", HUGE)
    ),
    ("average", {"--num-epoch-checkpoints": "1"}, 1, "--inputs must be one folder"),
    *each(
        "average",
        "--output",
        {
            "none/x.pt": "there is no folder none",
            "strange": "there is a folder of that name",
            "strange/pipe": "is a pipe or a device",
            CHECKPOINT: "is one of the inputs",
            LONG: "File name too long",
        },
    ),
]
TABLE = [
    *each("table", "paths", {**NO_RESULTS, "strange": "holds no test.json"}),
    *each("table", "--plot", NO_PICTURES),
    *each(
        "table",
        "--csv",
        {
            "none/x.csv": "there is no folder none",
            "strange": "there is a folder of that name",
            "strange/pipe": "is a pipe or a device",
            LONG: "File name too long",
        },
    ),
    *(
        ("table", {"--gen-subset": subset}, 1, expected)
        for subset, expected in {
            "none": "runs holds no none.json",
            "*": "runs holds no *.json",
            "**": "runs holds no **.json",
            "/x": "is no name of a subset",
            "../x": "is no name of a subset",
        }.items()
    ),
    ("table", {"--baseline": "none"}, 1, "--baseline none: the results are of"),
    ("table", {"--metric": "bleu"}, 2, "invalid choice"),
    ("table", {"--systems": "none"}, 1, "no result is of none"),
    ("table", {"--systems": ","}, 2, "names nothing"),
    ("table", {"--pairs": "none"}, 1, "no result is of"),
    ("table", {"--pairs": ","}, 2, "names nothing"),
    *each(
        "table",
        "--paper",
        {
            "none": "no such configuration file",
            "strange/pipe": "is a pipe or a device",
            "config.yaml": "does not hold published numbers",
            "strange/utf16.yaml": "can't decode byte",
            "strange/circle.yaml": "nested too deeply",
        },
    ),
]
NO_LOGS = {
    "none": "/none: No such file",
    "strange": "holds no train.log",
    "strange/loop.de": "Too many levels",
    "strange/pipe": "is a pipe or a device",
    "strange/zero.de": "is a pipe or a device",
    "raw/train.de": "no log has",
    "strange/utf16.de": "no log has",
    "strange/empty.de": "no log has",
    "strange/nan.log": "no log has",
    LONG: "File name too long",
}
PLOT = [
    *(
        row
        for kind in ("loss", "bleu", "sensitivity", "alpha")
        for row in each(f"plot {kind}", "--plot", NO_PICTURES)
    ),
    *each("plot loss", "paths", NO_LOGS),
    *each("plot sensitivity", "paths", NO_LOGS),
    *each("plot bleu", "paths", {**NO_RESULTS, "strange": "holds no test.json"}),
    ("plot bleu", {"--gen-subset": "/x"}, 1, "is no name of a subset"),
    ("plot bleu", {"--gen-subset": "none"}, 1, "runs holds no none.json"),
    ("plot loss", {"--log-key": "bleu"}, 2, "invalid choice"),
    ("plot loss", {"--valid-subset": "none"}, 1, "no log has loss in its lines of none"),
    *no_number("plot alpha", "--updates"),
    *(
        ("plot alpha", {"--updates": updates}, 1, "α′ takes a run with an end")
        for updates in ("0", "-1")
    ),
    *each(
        "plot alpha",
        "config",
        {
            "none": "no such configuration file",
            "strange/pipe": "is a pipe or a device",
            "strange/empty.de": "has no criterion.alpha",
            "strange/deep.yaml": "nested too deeply",
        },
    ),
    *(
        ("plot alpha", {"overrides": override}, 1, expected)
        for override, expected in {
            "criterion": "is no override",
            "criterion=1": "must be groups",
            "optimization=x": "must be groups",
            "criterion.alpha=x": "criterion.alpha must be a number, not 'x'",
            "criterion.alpha=[1]": "criterion.alpha must be a number",
            "criterion.alpha=-1": "at least 0, not -1",
            "criterion.alpha=.nan": "not nan",
            "criterion.alpha=.inf": "not inf",
            "criterion.alpha_p=20": "0 < p < q must hold",
            "optimization.max_update=.inf": "infinity",
            "optimization.max_update=null": "α′ takes a run with an end",
            "optimization.max_epoch=3": "has a max_epoch",
        }.items()
    ),
]
SEVERAL_SYSTEMS = [
    row
    for command in ("sensitivity", "prune")
    for row in [
        *no_number(command, "--seed", "--max-tokens"),
        *no_value(command, "--cpu"),
        *outside(command, "--seed", "from 0 to 2^", "-1", HUGE),
        *each(command, "--plot", NO_PICTURES),
        (command, {"--names": "a,b"}, 1, "--names has 2 names for 1 checkpoints"),
        (command, {"--names": "a/b"}, 1, "which is no file name"),
        (command, {"--names": ".."}, 1, "which is no file name"),
    ]
]
SENSITIVITY = [
    *no_number("sensitivity", "--batches"),
    *no_value("sensitivity", "--dropout", "--mean-of-absolute"),
    *outside("sensitivity", "--batches", "at least 1", "0", "-1"),
    *outside("sensitivity", "--max-tokens", "at least 1", "0"),
    *outside("sensitivity", "--max-tokens", "at most", HUGE),
    *each("sensitivity", "--path", NO_CHECKPOINTS),
    *each("sensitivity", "--results-path", NO_FOLDERS),
    *(
        ("sensitivity", {"--gen-subset": subset}, 1, "has no subset")
        for subset in ("none", "../bin/none")
    ),
    *each(
        "sensitivity",
        "data",
        {
            "none": "there is no such data directory",
            "raw/train.de": "there is no such data directory",
            "raw": "is not a data directory",
            "strange/pipe": "is a pipe or a device",
            LONG: "File name too long",
        },
    ),
]
PRUNE = [
    *no_value("prune", "--write-checkpoint"),
    ("prune", {"--order": ["size"]}, 2, "invalid choice"),
    ("prune", {"--order": ["random"]}, 1, "--sensitivity is not used by --order random"),
    *(
        ("prune", {"--ratios": ratios}, 1, expected)
        for ratios, expected in {
            "x": "'x' is not a number",
            "0.1,": "'' is not a number",
            "nan": "is not from 0 to below 1",
            "1": "is not from 0 to below 1",
            "-0.1": "is not from 0 to below 1",
            "0.1,0.10": "0.10 is there twice",
        }.items()
    ),
    *each(
        "prune",
        "--sensitivity",
        {
            "none": "there is no such file of scores",
            "strange": "there is no such file of scores",
            "strange/pipe": "is a pipe or a device",
            "raw/train.de": "does not hold the scores",
            CHECKPOINT: "does not hold the scores",
        },
    ),
]
TOY_CORPUS = [
    *no_number("toy-corpus", "--train", "--valid", "--test", "--seed"),
    *(
        ("toy-corpus", {option: number}, 1, expected)
        for option in ("--train", "--valid", "--test")
        for number, expected in {"0": "at least 1", "-1": "at least 1", HUGE: "add up to"}.items()
    ),
    *each(
        "toy-corpus",
        "--destdir",
        {
            "raw": "raw/test.de has other content",
            "raw/train.de": "cannot write raw/train.de",
            "raw/train.de/x": "cannot write raw/train.de/x",
            "strange/loop.de": "cannot write strange/loop.de",
            "strange/pipe": "is a pipe or a device",
            LONG: "File name too long",
        },
    ),
]
FETCHED = [
    row
    for command in ("iwslt14", "wmt17")
    for row in [
        *each(
            command,
            "--destdir",
            {
                "raw": "raw holds other files",
                "raw/train.de": "is not a directory",
                "raw/train.de/x": "Not a directory",
                "strange/pipe": "is a pipe or a device",
                LONG: "File name too long",
            },
        ),
        (command, {"--downloads": "strange/pipe"}, 1, "is a pipe or a device"),
        (
            command,
            {"--downloads": "raw/train.de", "--source": "http://127.0.0.1:9/"},
            1,
            "cannot write raw/train.de: ",
        ),
    ]
]
IWSLT14 = [
    ("iwslt14", {"--pair": "de-de"}, 2, "invalid choice"),
    ("iwslt14", {"--pair": "he-en", "--source": None}, 1, "cannot be fetched by a program"),
    *each(
        "iwslt14",
        "--source",
        {
            "none": "No such file or folder",
            "strange": "strange holds neither",
            "strange/pipe": "No such file or folder",
            "strange/loop.de": "No such file or folder",
            "raw/train.de": "is not a .tgz archive",
            "http://127.0.0.1:9": "names no file",
        },
    ),
]
WMT17 = each("wmt17", "--source", {"none": "holds neither", "raw/train.de": "holds neither"})
ROWS = [
    *ALL_COMMANDS,
    *PREPARE,
    *ARGS,
    *SEARCHING,
    *EVALUATE,
    *AVERAGE,
    *TABLE,
    *PLOT,
    *SEVERAL_SYSTEMS,
    *SENSITIVITY,
    *PRUNE,
    *TOY_CORPUS,
    *FETCHED,
    *IWSLT14,
    *WMT17,
    ("user-dir", {"more": "x"}, 2, "unrecognized arguments: "),
]


def name(row: tuple) -> str:
    changes = " ".join(f"{option} {value}"[:40] for option, value in row[1].items())
    return ascii(f"{row[0]} {changes}")[1:-1]


@pytest.fixture(scope="module")
def world() -> Iterator[Path]:
    """A folder of finished work, readable by all users, with strange files beside it."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chmod(folder, 0o755)
        patch.chdir(folder)
        newstest = DATASETS["wmt14/full"]
        write_newstest2014(Path("sacrebleu"))
        for attribute, name in {"_outdir": "wmt14/full", "_rawdir": "wmt14/full/raw"}.items():
            patch.setattr(newstest, attribute, f"{folder}/sacrebleu/{name}")
        run("toy-corpus --destdir raw --train 150 --valid 10 --test 12".split())
        run(command_line("prepare", {"--destdir": "bin"}))
        for system in ("plain", "other"):
            train(Path("bin"), Path("runs", system))
            changes = {"--results-path": f"runs/{system}"}
            changes["--path"] = f"runs/{system}/checkpoint_best.pt"
            run(command_line("evaluate", changes))
            configuration = "x | INFO | fairseq_cli.train | {'num_passes': 2}\n"
            inner = "x | INFO | train_inner | num_updates=1, sensitivity_top=2, sensitivity_rest=1"
            Path(f"runs/{system}/train.log").write_text(f"{configuration}{VALID_LINE}{inner}\n")
        run(command_line("sensitivity", {"--results-path": "sensitivity"}))
        run(command_line("prune", {"--results-path": "pruned", "--plot": "pruned.png"}))
        run(command_line("table", {"--csv": "table.csv", "--plot": "table.png"}))
        Path("config.yaml").write_text(
            "task: {_name: translation}\ncriterion: {alpha: 5}\noptimization: {max_update: 9}\n"
        )
        write_strange_files(Path("strange"))
        yield Path(folder)


def write_strange_files(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    for lang in ("de", "en"):
        text = Path(f"raw/train.{lang}").read_text(encoding="utf-8")
        (folder / f"folder.{lang}").mkdir()
        (folder / f"loop.{lang}").symlink_to(f"loop.{lang}")
        (folder / f"zero.{lang}").symlink_to("/dev/zero")
        os.mkfifo(folder / f"pipe.{lang}")
        for content, file in {
            text.encode("utf-16"): "utf16",
            b"\0".join(
                text.encode("ascii", "replace")[i : i + 1] for i in range(99)
            ): "utf16_ascii",
            text.encode("utf-8-sig"): "bom",
            f"ä\n{text}".encode("latin-1", "replace"): "latin1",
            b"\xed\xa0\x80\n": "surrogate",
            b"": "empty",
            b"Hallo Welt .\n": "one",
        }.items():
            (folder / f"{file}.{lang}").write_bytes(content)
    (folder / "short.de").write_text("x\n")
    (folder / "short.en").write_text("x\ny\n")
    (folder / "nan.log").write_text(VALID_LINE.replace("loss 5", "loss nan"))
    (folder / "broken").mkdir()
    (folder / "broken" / "prepare.json").write_text('{"options": {"source_lang"')
    for file, content in {
        "utf16": "task: {a: b}".encode("utf-16"),
        "latin1": b"a: \xe4",
        "nul": b"a: {b: \0}",
        "list": b"[a, b]",
        "number": b"3",
        "deep": b"a: " + b"{a: " * 900 + b"1" + b"}" * 900,
        "circle": b"a: &a {b: *a}",
        "code": b"a: !!python/object/apply:os.system [ls]",
        "nested": b"a: {b: {c: 1}}",
        "twice": b"a: 1\na: 2",
    }.items():
        (folder / f"{file}.yaml").write_bytes(content)


def train(data: Path, save_dir: Path, updates: int = 2) -> None:
    sides = ("encoder", "decoder")
    arguments = [
        *(f"--user-dir={USER_DIR}", f"--save-dir={save_dir}", "--cpu", "--no-progress-bar"),
        *(*INTRA, "--arch=transformer", "--share-all-embeddings", "--dropout=0.1"),
        *(f"--{side}-{size}" for side in sides for size in ("layers=1", "embed-dim=8")),
        *(
            f"--{side}-{size}"
            for side in sides
            for size in ("ffn-embed-dim=8", "attention-heads=1")
        ),
        *("--optimizer=adam", "--lr=0.01", "--max-tokens=500", f"--max-update={updates}"),
        *(
            "--no-epoch-checkpoints",
            "--num-workers=0",
            "--required-batch-size-multiple=1",
            f"--seed={len(save_dir.name)}",
        ),
    ]
    parser = get_training_parser()
    args = parse_args_and_arch(parser, [*arguments, "--", str(data)])
    run_training(convert_namespace_to_omegaconf(args))


@pytest.fixture(scope="module")
def finished(world) -> dict[str, bytes | int]:
    return contents(world)


def contents(folder: Path) -> dict[str, bytes | int]:
    """The files of a folder byte for byte, and of what else it holds the kind."""
    return {
        str(path): path.read_bytes() if stat.S_ISREG(mode) else mode
        for path in folder.rglob("*")
        for mode in [path.lstat().st_mode]
    }


def run(argv: list[str]) -> tuple[int, str]:
    """Run a command in this process → its exit code, and the line that Python would print."""
    try:
        cli.main(argv)
    except SystemExit as ending:
        return (1, ending.code) if isinstance(ending.code, str) else (ending.code, "")
    return 0, ""


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_bad_value_ends_in_one_line(world, finished, inject, capfd, row):
    command, changes, expected_code, expected = row
    inject()
    code, line = run(command_line(command, changes))
    stderr = capfd.readouterr().err
    assert code == expected_code, line or stderr
    if code == 2:  # of bad usage argparse reminds first
        *usage, line = stderr.splitlines()
        assert usage[0].startswith("usage: intra-distill")
        assert not any("error" in reminder for reminder in usage)
    else:
        assert not stderr and line.isprintable()
    assert line.startswith("intra-distill") and expected in line
    assert contents(world) == finished


def declared(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """Each command with each of its options."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for chosen, subparser in action.choices.items():
                yield from declared(subparser, f"{command} {chosen}".strip())
        elif not isinstance(action, argparse._HelpAction):
            yield command, (action.option_strings or [action.dest])[-1]


def test_every_option_of_every_command_is_in_the_table():
    tried = {(command, option) for command, changes, *_ in ROWS for option in changes}
    assert set(declared(cli.build_parser(cli.COMMANDS))) - tried == set()
    assert {command for command, _ in tried} >= set(WORKING)


# Files that may not be read or written


@pytest.fixture
def nobody(world) -> Iterator[None]:
    """Be a user who may read the folder but not write in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.chmod("raw/valid.de", 0)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.chmod("raw/valid.de", 0o644)


UNREADABLE = {
    "prepare": "--valid",
    "args": "config",
    "evaluate": "--baseline",
    "table": "paths",
    "plot loss": "paths",
    "plot bleu": "paths",
    "plot alpha": "config",
}
UNWRITABLE = {
    "prepare": "--destdir",
    "evaluate": "--results-path",
    "average": "--output",
    "table": "--csv",
    "plot loss": "--plot",
    "sensitivity": "--results-path",
    "prune": "--results-path",
    "toy-corpus": "--destdir",
    "iwslt14": "--destdir",
    "wmt17": "--destdir",
}


@pytest.mark.parametrize("command, option", UNREADABLE.items())
def test_an_unreadable_file_ends_in_one_line(world, nobody, inject, capfd, command, option):
    inject()
    value = "raw/valid" if command == "prepare" else "raw/valid.de"
    several = isinstance(WORKING[command].get(option), list)
    code, line = run(command_line(command, {option: [value] if several else value}))
    assert code == 1 and "raw/valid.de" in line and "Permission denied" in line
    assert line.isprintable() and not capfd.readouterr().err
    assert not list(world.glob("new*"))


@pytest.mark.parametrize("command, option", UNWRITABLE.items())
def test_an_unwritable_folder_ends_in_one_line(world, inject, capfd, nobody, command, option):
    inject()
    changes = {"--valid": "raw/test"} if command == "prepare" else {}
    code, line = run(command_line(command, changes))
    assert code == 1 and WORKING[command][option] in line and "Permission denied" in line
    assert line.isprintable() and not list(world.glob("new*"))


# Names that are strange, and fine


@pytest.mark.parametrize("folder", ["-a", "ein Ordner 'é%s' $HOME #&;(語)=*?[x]"])
def test_all_commands_work_in_a_folder_of_any_name(
    world, inject, monkeypatch, tmp_path, capsys, folder
):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    shutil.copy(world / "config.yaml", folder)

    def works(command: str, **changes: str) -> None:
        inject()
        argv = command_line(
            command,
            {
                option
                if option in ("data", "paths", "config")
                else f"--{option}": f"{folder}/{name}"
                for option, name in changes.items()
            },
        )
        assert run([each.replace("--results_path", "--results-path") for each in argv]) == (0, "")

    works("toy-corpus", destdir="raw")
    works("prepare", train="raw/train", valid="raw/valid", test="raw/test", destdir="bin")
    train(Path(folder, "bin"), Path(folder, "runs", "plain"))
    shutil.copy(world / "runs/plain/train.log", Path(folder, "runs", "plain"))
    of_checkpoint = {"data": "bin", "path": CHECKPOINT}
    works("evaluate", **of_checkpoint, results_path="runs/plain")
    works("evaluate", **of_checkpoint, results_path="new", baseline="runs/plain/test.json")
    works("sensitivity", **of_checkpoint, results_path="sensitivity", plot="violins.png")
    works("prune", **of_checkpoint, sensitivity=SCORES, results_path="pruned", plot="pruned.png")
    works("average", inputs=CHECKPOINT, output="average.pt")
    works("table", paths="runs", csv="table.csv", plot="table.png")
    for kind in ("loss", "bleu", "sensitivity"):
        works(f"plot {kind}", paths="runs", plot=f"{kind}.png")
    works("plot alpha", config="config.yaml", plot="alpha.png")
    works("args", config="config.yaml")


def test_strange_text_is_prepared(world, inject, tmp_path, times):
    """Control characters, other line ends, and a line of megabytes, which the filters drop."""
    size = times(1_000_000, 10_000_000)
    controls = "".join(
        f"a{chr(c)}b \u2028{chr(c)}c\r\x85 {chr(c)}\n" for c in range(1, 32) if c != 10
    )
    lines = [controls, "word " * (size // 5) + "\n", "\u202e\ufeffא\u200d\n", "\ufeff\n"]
    inject(len(lines))
    for lang in ("de", "en"):
        text = (world / f"raw/train.{lang}").read_text(encoding="utf-8")
        (tmp_path / f"train.{lang}").write_text(text + "".join(lines), encoding="utf-8", newline="")
    destdir = str(tmp_path / "bin")
    changes = {"--train": str(tmp_path / "train"), "--destdir": destdir, "--vocab-size": "120"}
    assert run(command_line("prepare", changes)) == (0, "")
    train(Path(destdir), tmp_path / "run")


@pytest.mark.parametrize("change", ["grows", "shrinks", "is replaced", "vanishes"])
def test_text_that_changes_while_it_is_read_ends_in_one_line(
    world, finished, inject, monkeypatch, tmp_path, capfd, change
):
    inject()
    shutil.copytree("raw", tmp_path / "raw")
    changing = tmp_path / "raw" / "train.en"
    lines = changing.read_text(encoding="utf-8").splitlines(keepends=True)

    def change_and_clean(*args):
        if change == "vanishes":
            changing.unlink()
        else:
            now = {"grows": [*lines, "more\n"], "shrinks": lines[:99], "is replaced": lines[::-1]}
            changing.write_text("".join(now[change]), encoding="utf-8")
        return clean_in_parallel(*args)

    clean_in_parallel = translation.clean_in_parallel
    monkeypatch.setattr(translation, "clean_in_parallel", change_and_clean)
    code, line = run(
        command_line(
            "prepare",
            {"--train": str(tmp_path / "raw" / "train"), "--destdir": str(tmp_path / "bin")},
        )
    )
    expected = "No such file" if change == "vanishes" else "was changed while it was read"
    assert code == 1 and f"{changing}" in line and expected in line and line.isprintable()
    assert not capfd.readouterr().err and contents(world) == finished


# The true process


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (["args", "strange/none"], 1, "strange/none: no such configuration file"),
        (["toy-corpus", "--destdir=raw", "--train=0"], 1, "ask for at least 1"),
        ([b"args", b"strange/\xff"], 2, "\\udcff' has characters that are not for names"),
        (["plot", "alpha", "config.yaml", "--plot=strange/pipe"], 1, "is a pipe or a device"),
    ],
)
def test_the_process_ends_so_too(world, finished, inject, arguments, code, expected):
    inject()
    command = [sys.executable, "-c", "from intra_distill.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(command, capture_output=True, env=environment)
    *usage, line = process.stderr.decode("ascii").splitlines()
    assert process.returncode == code and bool(usage) == (code == 2)
    assert expected in line and not process.stdout and contents(world) == finished


# The options of fairseq-train

SELF_DISTILLATION = [*TASK, "--num-passes=1", "--criterion=self_distillation"]
SAGE = ["--optimizer=sage"]
SWITCH = [*TASK, "--num-passes=1", "--criterion=label_smoothed_cross_entropy"]
SWITCH += ["--arch=switch_transformer"]


def refused(working: list[str], option: str, *values: str) -> list[tuple]:
    return [(working, option, [f"{option}={value}"], f"{option}") for value in values]


PLUGIN_ROWS = [
    *refused(INTRA, "--num-passes", "x", "nan", "2.5", "0", "-1"),
    *refused(INTRA, "--passes-in-memory", "x", "0", "-1", "4", HUGE),
    *refused(INTRA, "--track-sensitivity", "x", "-1"),
    *refused(INTRA, "--alpha", "x", "nan", "inf", "-1"),
    *refused(INTRA, "--alpha-p", "x", "nan", "inf", "0", "-5", "10", "20"),
    *refused(INTRA, "--alpha-q", "x", "nan", "inf", "0", "-5", "5"),
    *refused(INTRA, "--constant-alpha", "yes"),
    *refused(INTRA, "--divergence", "kl", "X", " "),
    *refused(INTRA, "--loss-implementation", "fast", " "),
    (INTRA, "--alpha", ["--max-update=0", "--max-epoch=0"], "set --max-update or --max-epoch"),
    (INTRA, "--num-passes", ["--num-passes=1"], "nothing to compare"),
    (INTRA, "--num-passes", ["--dropout=0"], "the model has no dropout"),
    (INTRA, "--num-passes", ["--criterion=label_smoothed_cross_entropy"], "knows nothing of 3"),
    (INTRA, "--num-passes", ["--ddp-backend=fully_sharded"], "not supported"),
    (
        INTRA,
        "--loss-implementation",
        ["--loss-implementation=fused", "--report-accuracy"],
        "logits",
    ),
    *refused(SELF_DISTILLATION, "--teacher-path", "none", ".", "/dev/zero", LONG),
    (SELF_DISTILLATION, "--teacher-path", [], "needs a trained model as --teacher-path"),
    *refused(SELF_DISTILLATION, "--distillation-weight", "x", "nan", "inf", "0", "-1"),
    *refused(SAGE, "--sage-base", "sgd", " "),
    *(
        row
        for option in ("--sage-beta1", "--sage-beta2", "--sage-beta3")
        for row in refused(SAGE, option, "x", "nan", "-0.1", "1", "inf")
    ),
    *refused(SAGE, "--sage-beta3", "0"),
    *refused(SAGE, "--sage-eps", "x", "nan", "0", "-1", "1", "inf"),
    *refused(SAGE, "--weight-decay", "x", "nan", "-1", "inf"),
    *refused(SWITCH, "--num-experts", "x", "1", "0", "-4"),
    *refused(SWITCH, "--capacity-factor", "x", "nan", "0", "-1", "inf"),
    *refused(SWITCH, "--router-jitter", "x", "nan", "-0.1", "1"),
    *refused(SWITCH, "--load-balance-alpha", "x", "nan", "-1", "inf"),
    *refused(SWITCH, "--expert-dropout", "x", "nan", "-0.1", "1"),
    (SWITCH, "--num-experts", ["--base-layers=1"], "leave out --base-layers"),
]


@pytest.mark.parametrize("row", PLUGIN_ROWS, ids=lambda row: " ".join([row[1], *row[2]])[:60])
def test_fairseq_train_refuses_a_bad_value_before_the_first_update(
    trainer, inject, capsys, monkeypatch, row
):
    working, _, arguments, expected = row
    inject()
    updates = []
    monkeypatch.setattr("fairseq.trainer.Trainer.optimizer_step", updates.append, raising=False)
    with pytest.raises(SystemExit) as ending:
        built = trainer(*working, *arguments)
        built.train_step(built.batches[:1])
    if ending.value.code == 2:
        line = capsys.readouterr().err.splitlines()[-1]
        assert ": error: argument" in line
    else:
        line = ending.value.code
        assert line.startswith("intra_distill: ") and line.isprintable()
    assert expected in line and not updates


def plugin_options(of: type = FairseqDataclass) -> Iterator[str]:
    """What our dataclasses declare, but for what they have of another option."""
    for dataclass in of.__subclasses__():
        yield from plugin_options(dataclass)
        if dataclass.__module__.startswith("intra_distill."):
            for field in dataclass.__dict__.get("__annotations__", {}):
                default = dataclass.__dataclass_fields__[field].default
                if not str(default).startswith("${"):
                    yield f"--{field.replace('_', '-')}"


def test_every_option_of_the_plugin_is_in_the_table():
    options = set(plugin_options())
    assert options - {option for _, option, *_ in PLUGIN_ROWS} == set()
    assert {"--num-passes", "--alpha", "--teacher-path", "--sage-eps", "--num-experts"} <= options


# The scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_pass_shellcheck_and_stop_at_the_first_failure(script, inject):
    text = script.read_text(encoding="utf-8")
    sourced = script.name in ("recipe.sh", "environment.sh")
    if text.startswith("#!"):
        assert re.search(r"^set -euo pipefail$|^source .*recipe.sh\"$", text, re.MULTILINE)
    else:
        assert sourced
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    inject()
    process = subprocess.run(
        ["shellcheck", "--external-sources", "--source-path", str(ROOT), str(script)],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the scripts, in a folder of a strange name, with commands that only note."""
    project = tmp_path / "mein Projekt (é) $x &"
    for folder in ("scripts", "configs"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "setup.py", project)
    commands = project / "environment" / "bin"
    commands.mkdir(parents=True)
    (commands / "intra-distill").write_text(
        """#!/usr/bin/env bash
printf '%s\\n' "<$*>" >>"$NOTES"
[[ "$1" != "${FAIL:-}" ]] || exit 1
while (($#)); do
    [[ $1 != --results-path ]] || { mkdir -p "$2" && touch "$2/test.json"; }
    shift
done
"""
    )
    (commands / "fairseq-train").write_text(
        '#!/usr/bin/env bash\nprintf \'%s\\n\' "<$*>" >>"$NOTES"\n'
    )
    (commands / "curl").write_text(
        "#!/usr/bin/env bash\n[[ ${FAIL:-} != curl ]] || exit 22\n"
        'while (($#)); do [[ $1 != --output ]] || echo text | gzip >"$2"; shift; done\n'
    )
    for command in commands.iterdir():
        command.chmod(0o755)
    return project


def run_script(project: Path, script: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a script of the copied project → its exit code and what the commands were given."""
    notes = project / "notes"
    venv = project / "environment"
    kept = {key: value for key, value in os.environ.items() if key not in ("DATA", "RUNS", "PAIR")}
    environment = {**kept, "VENV": str(venv), "NOTES": str(notes), **variables}
    environment["PATH"] = f"{venv}/bin:{environment['PATH']}"
    command = ["bash", str(project / "scripts" / script), *arguments]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    return process.returncode, notes.read_text(encoding="utf-8") if notes.exists() else ""


@pytest.mark.parametrize(
    "script, variables",
    [
        ("quickstart.sh", {}),
        ("multi30k/run.sh", {}),
        ("multi30k/self_distill.sh", {}),
        ("iwslt14/run.sh", {"PAIRS": "de-en", "SYSTEMS": "transformer intra_x"}),
        ("wmt17/run.sh", {"SYSTEMS": "transformer intra_x"}),
    ],
)
def test_a_recipe_runs_in_a_folder_of_any_name(project, inject, script, variables):
    inject()
    arguments = ["1"] if "self" in script else []
    code, notes = run_script(project, script, *arguments, **variables)
    assert code == 0 and f"{project}/runs" in notes and "<table " in notes
    assert not list(project.rglob("*.tmp")) and not list(project.rglob("*.gz"))


@pytest.mark.parametrize("failing", ["toy-corpus", "prepare", "evaluate"])
def test_a_recipe_stops_at_the_first_failure(project, inject, failing):
    inject()
    code, notes = run_script(project, "quickstart.sh", FAIL=failing)
    assert code != 0 and notes.splitlines()[-1].startswith(f"<{failing} ")


def test_a_failed_download_leaves_nothing_behind(project, inject):
    inject()
    code, notes = run_script(project, "multi30k/prepare.sh", FAIL="curl")
    assert code == 1 and not notes
    assert [path for path in (project / "data").rglob("*") if path.is_file()] == []
