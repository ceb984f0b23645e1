"""A folder of finished work of all commands, with files beside it that none of them can read."""

import os
import stat
from pathlib import Path

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch

from .bert import write_hugging_face
from .commands import command_line, run
from .glue import write_bert, write_glue
from .labelled import train_predictor
from .logs import train_line, valid_line, write_log
from .questions import write_questions_folder, write_tydiqa, write_xquad
from .training import INTRA, USER_DIR, run_training
from .xlmr import write_xlmr


def finish_work() -> None:
    """Fill the current folder: raw, bin, runs, sensitivity, pruned, config.yaml and strange.

    What it has of GLUE are a task's files, glue, the vocabulary bert, the data directory labelled
    and the folder predictor of a model; and hugging_face, a BERT. tydiqa, xquad and questions have
    questions, and xlmr the pieces for them.
    """
    run("toy-corpus --destdir raw --train 150 --valid 10 --test 12".split())
    run(command_line("prepare", {"--destdir": "bin"}))
    for system in ("plain", "other"):
        folder = Path("runs", system)
        train(Path("bin"), folder)
        paths = {"--path": str(folder / "checkpoint_best.pt"), "--results-path": str(folder)}
        run(command_line("evaluate", paths))
        write_log(folder, train_line(1), valid_line(10, 5.0))
    run(command_line("sensitivity", {"--results-path": "sensitivity"}))
    run(command_line("prune", {"--results-path": "pruned", "--plot": "pruned.png"}))
    run(command_line("table", {"--csv": "table.csv", "--plot": "table.png"}))
    write_glue(Path("glue"), "rte")
    write_bert(Path("bert"))
    run(command_line("glue", {"--destdir": "labelled"}))
    train_predictor(Path("labelled"), Path("predictor"), 1, "--max-positions", "64")
    write_hugging_face(Path("hugging_face"))
    write_tydiqa(Path("tydiqa"))
    write_xquad(Path("xquad"), ["ar", "en"])
    write_questions_folder(Path("questions"))
    write_xlmr(Path("xlmr"))
    Path("config.yaml").write_text(
        "task: {_name: translation}\ncriterion: {alpha: 5}\noptimization: {max_update: 9}\n"
    )
    write_strange_files(Path("strange"))


def write_strange_files(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    for lang in ("de", "en"):
        text = Path(f"raw/train.{lang}").read_text(encoding="utf-8")
        ascii_text = text.encode("ascii", "replace")
        (folder / f"folder.{lang}").mkdir()
        (folder / f"loop.{lang}").symlink_to(f"loop.{lang}")
        (folder / f"zero.{lang}").symlink_to("/dev/zero")
        os.mkfifo(folder / f"pipe.{lang}")
        for file, content in {
            "utf16": text.encode("utf-16"),
            "utf16_ascii": b"\0".join(ascii_text[i : i + 1] for i in range(99)),
            "bom": text.encode("utf-8-sig"),
            "latin1": f"ä\n{text}".encode("latin-1", "replace"),
            "surrogate": b"\xed\xa0\x80\n",
            "empty": b"",
            "one": b"Hallo Welt .\n",
            "short": b"x\n" if lang == "de" else b"x\ny\n",
        }.items():
            (folder / f"{file}.{lang}").write_bytes(content)
    (folder / "nan.log").write_text(valid_line(10, "nan") + "\n")
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


def train(data: Path, save_dir: Path) -> None:
    """Two updates of the tiniest model; runs whose names differ in length have other seeds."""
    arguments = [
        *[f"--user-dir={USER_DIR}", f"--save-dir={save_dir}", "--cpu", "--no-progress-bar"],
        *[*INTRA, "--arch=transformer", "--share-all-embeddings", "--dropout=0.1"],
        *"--encoder-layers=1 --encoder-embed-dim=8 --encoder-ffn-embed-dim=8".split(),
        *"--decoder-layers=1 --decoder-embed-dim=8 --decoder-ffn-embed-dim=8".split(),
        *"--encoder-attention-heads=1 --decoder-attention-heads=1".split(),
        *"--optimizer=adam --lr=0.01 --max-tokens=500 --max-update=2".split(),
        *"--no-epoch-checkpoints --num-workers=0 --required-batch-size-multiple=1".split(),
        f"--seed={len(save_dir.name)}",
    ]
    args = parse_args_and_arch(get_training_parser(), [*arguments, "--", str(data)])
    run_training(convert_namespace_to_omegaconf(args))


def contents(folder: Path) -> dict[str, bytes | int]:
    """The files of a folder byte for byte, and of what else it holds the kind."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if stat.S_ISREG(mode) else mode
        for path in folder.rglob("*")
        for mode in [path.lstat().st_mode]
    }
