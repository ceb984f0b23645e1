"""The path of a user: raw text → data directory → training → translation → scores → table."""

import json
from pathlib import Path

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch

from intra_distill.cli import main as intra_distill
from intra_distill.tools.config import config_arguments

from .support.training import CONFIGS, TINY_TRANSFORMER, USER_DIR, run_training


def train_system(data: Path, system: str, run: Path) -> None:
    overrides = ["optimization.max_update=8", "dataset.max_tokens=300"]
    overrides += ["dataset.validate_interval_updates=8", "checkpoint.save_interval_updates=8"]
    arguments = [str(data), "--user-dir", USER_DIR, "--cpu", "--save-dir", str(run)]
    arguments += config_arguments(CONFIGS / "quickstart" / f"{system}.yaml", overrides)
    arguments += TINY_TRANSFORMER[2:]  # the config's architecture at the smallest size
    cfg = parse_args_and_arch(get_training_parser(), arguments)
    run_training(convert_namespace_to_omegaconf(cfg))


def test_from_raw_text_to_the_table(tmp_path, capsys):
    raw, data = tmp_path / "raw", tmp_path / "data"
    intra_distill(f"toy-corpus --destdir {raw} --train 300 --valid 20 --test 20".split())
    splits = [f"--{split}={raw / split}" for split in ("train", "valid", "test")]
    intra_distill(
        ["prepare", *splits, "--destdir", str(data), "--source-lang=de", "--target-lang=en"]
        + ["--vocab-size", "200", "--max-ratio", "3"]
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
