"""The scripts of the recipes, from an archive in the official layout to the paper's table."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .support.corpora import write_iwslt14_release, write_newstest2014, write_wmt17_files

ROOT = Path(__file__).parents[1]
TINY = (
    [f"model.{side}_layers=1" for side in ("encoder", "decoder")]
    + [f"model.{side}_embed_dim=16" for side in ("encoder", "decoder")]
    + [f"model.{side}_ffn_embed_dim=32" for side in ("encoder", "decoder")]
    + [f"model.{side}_attention_heads=2" for side in ("encoder", "decoder")]
    + ["common.cpu=true", "common.fp16=false", "dataset.max_tokens=1000", "dataset.num_workers=0"]
    + ["optimization.max_update=4", "checkpoint.save_interval_updates=2"]
)

SMALL = "--vocab-size 70"


@pytest.fixture
def recipe(tmp_path):
    """Run a script of scripts/ with DATA and RUNS in tmp_path → the finished process."""

    def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "VENV": sys.prefix,
            "DATA": str(tmp_path / "data"),
            "RUNS": str(tmp_path / "runs"),
            "OVERRIDES": " ".join(TINY),
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        command = ["bash", str(ROOT / "scripts" / script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


def test_iwslt14_from_the_archive_to_table_2(recipe, tmp_path):
    archive = write_iwslt14_release(tmp_path / "release", ["de-en", "he-en"])
    grid = {"SYSTEMS": "transformer intra_x", "PAIRS": "de-en he-en", "PREPARE": SMALL}
    process = recipe("iwslt14/run.sh", str(archive), **grid, JOBS="2")
    assert process.returncode == 0, process.stderr
    header, _, transformer, intra_x = process.stdout[process.stdout.index("| System") :].split(
        "\n"
    )[:4]
    assert [cell.strip() for cell in header.split("|")[2:5]] == ["de-en", "he-en", "average"]
    assert "transformer" in transformer and "paper" in intra_x
    with open(tmp_path / "runs" / "table.csv", encoding="utf-8") as file:
        rows = {(row["system"], row["dataset"]): row for row in csv.DictReader(file)}
    assert set(rows) == {(s, d) for s in ("transformer", "intra_x") for d in ("de-en", "he-en")}
    assert float(rows["intra_x", "de-en"]["paper"]) == 36.10

    grid |= {"SYSTEMS": "transformer", "PAIRS": "de-en"}
    again = recipe("iwslt14/run.sh", str(archive), **grid)
    assert again.returncode == 0, again.stderr
    log = (tmp_path / "runs/de-en/transformer/seed1/run.log").read_text(encoding="utf-8")
    assert "trained already" in log and "not translated again" in log


def test_wmt17_from_the_archives_to_table_3(recipe, tmp_path):
    write_wmt17_files(tmp_path / "corpora")
    write_newstest2014(tmp_path / "sacrebleu")
    process = recipe(
        "wmt17/run.sh",
        str(tmp_path / "corpora"),
        SYSTEMS="transformer intra_x",
        SACREBLEU=str(tmp_path / "sacrebleu"),
        PREPARE="--vocab-size 45 --hold-out 20",
    )
    assert process.returncode == 0, process.stderr
    assert "| intra_x |" in process.stdout


def test_a_run_that_fails_stops_no_other_and_is_listed(recipe, tmp_path):
    archive = write_iwslt14_release(tmp_path / "release", ["de-en"])
    process = recipe(
        "iwslt14/run.sh",
        str(archive),
        SYSTEMS="transformer intra_x+task.num_passes=0 no_such_system",
        PAIRS="de-en",
        PREPARE=SMALL,
    )
    assert process.returncode == 1
    assert "--num-passes must be at least 1, not 0" in process.stderr
    assert "no result: " in process.stderr and "no_such_system/seed1" in process.stderr
    assert "| transformer |" in process.stdout


@pytest.mark.parametrize(
    "command, refusal",
    [
        ("train.sh", "name a recipe: iwslt14, multi30k, quickstart, wmt17"),
        (
            "evaluate.sh wmt",
            "wmt is no recipe; name a recipe: iwslt14, multi30k, quickstart, wmt17",
        ),
        ("grid.sh wmt", "wmt is no recipe"),
        ("ablations.sh wmt17", "there are none of wmt17: name multi30k or iwslt14"),
        ("train.sh multi30k", "the systems of {configs} are intra_js, intra_x, r_drop"),
        ("train.sh multi30k plain", "{configs}/plain: no such configuration file: the systems of"),
        ("evaluate.sh multi30k plain", "the systems of {configs} are intra_js, intra_x, r_drop"),
        ("train.sh iwslt14 intra_x", "name a language pair of iwslt14, such as PAIR=de-en"),
        ("iwslt14/prepare.sh", "name a language pair of iwslt14, such as PAIR=de-en"),
        ("self_distill.sh multi30k", "a number of rounds: bash scripts/self_distill.sh multi30k 2"),
    ],
)
def test_what_is_unknown_is_refused_with_what_there_is(recipe, tmp_path, command, refusal):
    process = recipe(*command.split(), PAIR="")
    assert process.returncode in (1, 2)
    assert process.stderr.count("\n") == 1
    assert refusal.format(configs=ROOT / "configs" / "multi30k") in process.stderr
    assert not (tmp_path / "runs").exists()


def test_each_student_of_self_distillation_teaches_the_next(recipe, tmp_path):
    notes, programs = tmp_path / "notes", tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("intra-distill", "fairseq-train"):
        (programs / name).write_text(f'#!/usr/bin/env bash\necho "{name} $*" >>{notes}\n')
        (programs / name).chmod(0o755)
    process = recipe("self_distill.sh", "multi30k", "2", VENV=str(programs.parent), OVERRIDES="")
    assert process.returncode == 0, process.stderr
    lines = notes.read_text(encoding="utf-8").splitlines()
    configurations = [Path(line.split()[2]).name for line in lines if " args " in line]
    assert configurations == ["transformer"] * 2 + ["self_distillation"] * 4

    runs = tmp_path / "runs"
    trained = [line.rpartition("--save-dir ")[2] for line in lines if "--save-dir" in line]
    assert trained == [
        f"{runs}/transformer/seed1",
        f"{runs}/self_distillation_1/seed1 "
        f"--teacher-path {runs}/transformer/seed1/checkpoint_best.pt",
        f"{runs}/self_distillation_2/seed1 "
        f"--teacher-path {runs}/self_distillation_1/seed1/checkpoint_best.pt",
    ]
    scored = [line.split("--name ")[1].split()[0] for line in lines if "--name" in line]
    assert scored == ["transformer", "self_distillation_1", "self_distillation_2"]
    results = " ".join(f"{runs}/{system}/seed1/test.json" for system in scored)
    assert lines[-1] == f"intra-distill table {results}"
