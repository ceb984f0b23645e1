"""The path of a user: raw text → data directory → training → translation → scores → table.

Then another test set, and text that comes to fairseq-interactive through a pipe.
"""

import contextlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import (
    get_interactive_generation_parser,
    get_training_parser,
    parse_args_and_arch,
)
from fairseq_cli.interactive import main as fairseq_interactive

from intra_distill.cli import main as intra_distill
from intra_distill.tools.config import config_arguments
from intra_distill.tools.preparation.pieces import encode

from .support.training import CONFIGS, TINY_TRANSFORMER, USER_DIR, run_training


def train_system(data: Path, system: str, run: Path) -> None:
    overrides = ["optimization.max_update=8", "dataset.max_tokens=300"]
    overrides += ["dataset.validate_interval_updates=8", "checkpoint.save_interval_updates=8"]
    arguments = [str(data), "--user-dir", USER_DIR, "--cpu", "--save-dir", str(run)]
    arguments += config_arguments(CONFIGS / "quickstart" / f"{system}.yaml", overrides)
    arguments += TINY_TRANSFORMER[2:]  # the config's architecture at the smallest size
    cfg = parse_args_and_arch(get_training_parser(), arguments)
    run_training(convert_namespace_to_omegaconf(cfg))


def interactive(
    data: Path, checkpoint: str, text: Iterable[bytes], pieces: Path
) -> dict[str, list[str]]:
    """What fairseq-interactive prints of encoded text: its sources (S) and translations (D)."""
    arguments = [str(data), "--user-dir", USER_DIR, "--path", checkpoint, "--input", str(pieces)]
    arguments += "--cpu --beam 1 --max-len-b 9 --remove-bpe sentencepiece".split()
    pieces.write_text("".join(f"{line}\n" for line in encode(data, text)), encoding="utf-8")
    args = parse_args_and_arch(get_interactive_generation_parser(), arguments)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        fairseq_interactive(convert_namespace_to_omegaconf(args))
    lines = [line.split("\t") for line in output.getvalue().splitlines()]
    return {
        kind: [fields[-1] for fields in lines if fields[0].startswith(f"{kind}-")] for kind in "SD"
    }


def test_from_raw_text_to_the_table(tmp_path, capsys):
    raw, data = tmp_path / "raw", tmp_path / "data"
    intra_distill(f"toy-corpus --destdir {raw} --train 300 --valid 20 --test 20".split())
    splits = [f"--{split}={raw / split}" for split in ("train", "valid", "test")]
    intra_distill(
        ["prepare", *splits, "--destdir", str(data), "--source-lang=de", "--target-lang=en"]
        + ["--vocab-size", "200", "--max-ratio", "3", "--lowercase"]
    )
    baseline: list[str] = []
    results = []
    for system in ("transformer", "intra_x"):
        run = tmp_path / system
        train_system(data, system, run)
        intra_distill(
            ["evaluate", str(data), "--path", str(run / "checkpoint_best.pt"), "--cpu"]
            + ["--results-path", str(run), "--beam", "2", "--metrics", "BLEU", "TER", *baseline]
        )
        assert len((run / "test.hyp.en").read_text(encoding="utf-8").splitlines()) == 20
        results.append(str(run / "test.json"))
        baseline = ["--baseline", results[0]]
    intra = json.loads(Path(results[1]).read_text(encoding="utf-8"))
    assert list(intra["significance"]["tests"]) == ["BLEU", "TER"]
    assert intra["significance"]["baseline_system"] == "transformer"
    assert (intra["checkpoint"]["updates"], intra["checkpoint"]["num_passes"]) == (8, 3)

    capsys.readouterr()
    intra_distill(["table", *results])
    table = capsys.readouterr().out
    assert "| transformer |" in table and "| intra_x |" in table and "| TER ↓ | p |" in table

    intra_distill(["add-test", str(data), "--test", str(raw / "valid")])
    checkpoint = str(tmp_path / "intra_x" / "checkpoint_best.pt")
    intra_distill(
        ["evaluate", str(data), "--path", checkpoint, "--cpu", "--gen-subset", "test1"]
        + ["--results-path", str(tmp_path / "intra_x"), "--beam", "1", "--max-len-b", "9"]
    )
    added = json.loads((tmp_path / "intra_x" / "test1.json").read_text(encoding="utf-8"))
    assert added["test_set"]["subset"] == "test1" and added["test_set"]["sentences"] == 20

    text = (raw / "test.de").read_bytes().splitlines(keepends=True)
    translated = interactive(data, checkpoint, text, tmp_path / "pieces")
    assert translated["S"] == [line.decode().lower().strip() for line in text]  # no <unk>
    assert len(translated["D"]) == 20 and not [line for line in translated["D"] if "\u2581" in line]
