"""The scripts of the recipes, from an archive in the official layout to the paper's table."""

import csv
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intra_distill.checkpoints import read_checkpoint

from .support.bert import write_hugging_face
from .support.corpora import write_iwslt14_release, write_wmt17_files
from .support.glue import write_glue
from .support.programs import calls, value, write_programs
from .support.questions import write_questions_folder
from .support.tagged import write_raw
from .support.warm import IN_ONE_PROCESS
from .support.xlmr import tiny_xlmr

ROOT = Path(__file__).parents[1]
TINY = (
    [f"model.{side}_layers=1" for side in ("encoder", "decoder")]
    + [f"model.{side}_embed_dim=16" for side in ("encoder", "decoder")]
    + [f"model.{side}_ffn_embed_dim=32" for side in ("encoder", "decoder")]
    + [f"model.{side}_attention_heads=2" for side in ("encoder", "decoder")]
    + ["common.cpu=true", "common.fp16=false", "dataset.max_tokens=1000", "dataset.num_workers=0"]
    + ["optimization.max_update=4", "checkpoint.save_interval_updates=2"]
    + ["generation.beam=1", "generation.max_len_b=10"]  # such a model ends no sentence by itself
)

SMALL = "--vocab-size 70"
ARGS = ["intra-distill", "args"]
TASKS = "cola sst-2 mrpc qqp sts-b mnli qnli rte".split()
RECIPES = "glue, iwslt14, multi30k, multi30k_full, multilingual, panx, quickstart, tydiqa, wmt17"
STUDENTS = ["self_distillation_1", "self_distillation_2"]


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


@pytest.fixture
def programs(tmp_path) -> dict[str, str]:
    """Programs in place of those that compute, in tmp_path/venv → the variables that name them."""
    write_programs(tmp_path / "venv")
    return {"VENV": str(tmp_path / "venv"), "OVERRIDES": "criterion.alpha=2"}


@IN_ONE_PROCESS
def test_iwslt14_from_the_archive_to_table_2(recipe, warm, tmp_path):
    archive = write_iwslt14_release(tmp_path / "release", ["de-en"])
    grid = {"DATASETS": "de-en", "PREPARE": SMALL, "VENV": warm}
    process = recipe("iwslt14/run.sh", str(archive), **grid, SYSTEMS="intra_x")
    assert process.returncode == 0, process.stderr
    header, _, ours = process.stdout[process.stdout.index("| System") :].split("\n")[:3]
    assert header.startswith("| System | BLEU | paper |") and "| 36.10 (-" in ours
    with open(tmp_path / "runs" / "table.csv", encoding="utf-8") as file:
        (first, *_) = csv.DictReader(file)
    assert (first["system"], first["dataset"], first["paper"]) == ("intra_x", "de-en", "36.1")

    # what is finished is skipped; a run that fails stops no other, and is listed
    systems = "intra_x+task.num_passes=0 no_such_system intra_x"
    again = recipe("iwslt14/run.sh", str(archive), **grid, SYSTEMS=systems)
    assert again.returncode == 1
    log = (tmp_path / "runs/de-en/intra_x/seed1/run.log").read_text(encoding="utf-8")
    assert "trained already" in log and "not translated again" in log
    assert "--num-passes must be at least 1, not 0" in again.stderr
    assert "no result: " in again.stderr and "no_such_system/seed1" in again.stderr
    assert "| intra_x |" in again.stdout


@IN_ONE_PROCESS
def test_wmt17_from_the_archives_to_table_3_with_averages(recipe, warm, tmp_path):
    write_wmt17_files(tmp_path / "corpora")
    process = recipe(
        "wmt17/run.sh",
        str(tmp_path / "corpora"),
        VENV=warm,
        SYSTEMS="intra_x",
        PREPARE="--vocab-size 45 --hold-out 20",
        AVERAGE="2",
        OVERRIDES=" ".join([*TINY, "optimization.update_freq=1"]),  # or each update ends an epoch
    )
    assert process.returncode == 0, process.stderr
    assert "| intra_x+average=2 |" in process.stdout
    average = tmp_path / "runs/intra_x+average=2/seed1/average.pt"
    averaged = read_checkpoint(average)["extra_state"]["averaged_from"]
    saved = (tmp_path / "runs/intra_x/seed1").glob("checkpoint_*_*.pt")
    assert [Path(each["path"]) for each in averaged] == sorted(saved)
    assert [each["updates"] for each in averaged] == [2, 4]


def test_glue_from_its_files_to_table_4(recipe, tmp_path):
    write_glue(tmp_path / "glue", "mnli", {"train": 40, "valid": 12, "test": 5})
    write_hugging_face(tmp_path / "hugging face")
    overrides = ["common.cpu=true", "dataset.num_workers=0", "optimization.max_update=3"]
    grid = {"SYSTEMS": "intra_x", "DATASETS": "mnli", "OVERRIDES": " ".join(overrides)}
    grid |= {"BERT_SOURCE": str(tmp_path / "hugging face"), "PREPARE": "--max-length 60"}
    process = recipe("glue/run.sh", str(tmp_path / "glue"), **grid)
    assert process.returncode == 0, process.stderr
    header = process.stdout[process.stdout.index("| System") :].split("\n")[0]
    assert [cell.strip() for cell in header.split("|")[2:5]] == ["mnli-m", "mnli-mm", "average"]
    with open(tmp_path / "runs" / "table.csv", encoding="utf-8") as file:
        rows = {(row["system"], row["dataset"]): row for row in csv.DictReader(file)}
    assert set(rows) == {("intra_x", name) for name in ("mnli-m", "mnli-mm", "average")}
    assert float(rows["intra_x", "mnli-mm"]["paper"]) == 84.2


SHORT = ["common.cpu=true", "dataset.num_workers=0", "optimization.max_update=2"]
OF_WORDS, OF_QUESTIONS = "--max-length 60", "--max-length 60 --max-query-length 20 --doc-stride 16"


@IN_ONE_PROCESS
@pytest.mark.parametrize(
    "name, write, prepare, metric",
    [
        ("panx", write_raw, OF_WORDS, "entity-F1"),
        ("tydiqa", write_questions_folder, OF_QUESTIONS, "answer-F1"),
    ],
)
def test_a_model_of_many_languages_from_text_to_its_table(
    recipe, warm, tmp_path, name, write, prepare, metric
):
    own, xlmr = write(tmp_path / "own"), tiny_xlmr(tmp_path / "xlmr")
    variables = {"VENV": warm, "XLMR": str(xlmr), "OVERRIDES": " ".join(SHORT)}
    variables |= {"SYSTEMS": "plain intra_x", "PREPARE": prepare}
    process = recipe(f"{name}/run.sh", str(own), **variables)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("| plain |") == 1
    languages = sorted(path.stem[5:] for path in own.glob("test-*"))
    with open(tmp_path / "runs" / "table.csv", encoding="utf-8") as file:
        rows = {(row["system"], row["dataset"]): row for row in csv.DictReader(file)}
    names = [*languages, "average"]
    assert set(rows) == {(system, name) for system in ("plain", "intra_x") for name in names}
    assert {row["metric"] for row in rows.values()} == {metric}

    # an evaluation that was stopped goes on with the languages that are left
    left, *done = languages
    runs = tmp_path / "runs/intra_x/seed1"
    before = {language: (runs / f"test-{language}.json").read_bytes() for language in done}
    (runs / f"test-{left}.json").unlink()
    process = recipe("evaluate.sh", name, "intra_x", **variables)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("not predicted again") == len(done)
    assert (runs / f"test-{left}.json").exists()
    assert before == {language: (runs / f"test-{language}.json").read_bytes() for language in done}


@pytest.mark.parametrize(
    "command, refusal",
    [
        ("train.sh", f"name a recipe: {RECIPES}"),
        ("evaluate.sh wmt", f"wmt is no recipe; name a recipe: {RECIPES}"),
        ("grid.sh wmt", "wmt is no recipe"),
        ("ablations.sh wmt17", "there are none of wmt17: name multi30k, multi30k_full or iwslt14"),
        ("train.sh wmt17", "the systems of {configs} are intra_js, intra_x, r_drop, sage"),
        ("train.sh wmt17 plain", "{configs}/plain: no such configuration file: the systems of"),
        ("evaluate.sh wmt17 plain", "the systems of {configs} are intra_js, intra_x, r_drop, sage"),
        ("train.sh iwslt14 intra_x", "name one of iwslt14 with DATASET: ar-en, de-en,"),
        ("train.sh wmt17 intra_x+average=5", "AVERAGE=5 evaluates its average"),
        ("iwslt14/prepare.sh", "name one of iwslt14 with DATASET: ar-en, de-en,"),
        ("multi30k/prepare.sh", "name one of multi30k with DATASET: de-en, fr-en, cs-en, en-de,"),
        ("self_distill.sh multi30k", "a number of rounds: bash scripts/self_distill.sh multi30k 2"),
    ],
)
def test_what_is_unknown_is_refused_with_what_there_is(recipe, tmp_path, command, refusal):
    process = recipe(*command.split(), DATASET="")
    assert process.returncode in (1, 2)
    assert process.stderr.count("\n") == 1
    assert refusal.format(configs=ROOT / "configs" / "wmt17") in process.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "command, dataset, refusal",
    [
        ("train.sh iwslt14 intra_x", "de", "there is no data set de; name one of iwslt14 with"),
        ("evaluate.sh glue plain", "mnli-m", "with DATASET: cola, sst-2, mrpc, qqp, sts-b, mnli,"),
        ("glue/prepare.sh", "", "name one of glue with DATASET: cola, sst-2"),
        ("train.sh wmt17 intra_x", "de-en", "wmt17 has one data set: leave DATASET=de-en"),
        ("quickstart.sh", "de-en", "quickstart has one data set: leave DATASET=de-en out"),
        ("glue/run.sh", "rte wnli", "there is no data set wnli; name one of glue with DATASETS: c"),
        ("grid.sh iwslt14", "", "name one of iwslt14 with DATASETS: ar-en, de-en"),
        ("grid.sh wmt17", "*", "wmt17 has one data set: leave DATASETS=* out"),
    ],
)
def test_a_data_set_that_a_recipe_has_not_is_refused(recipe, tmp_path, command, dataset, refusal):
    variable = "DATASETS" if "grid" in command or "run" in command else "DATASET"
    process = recipe(*command.split(), **{variable: dataset, "SYSTEMS": "plain"})
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert refusal in process.stderr
    assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "command, variable, number",
    [("train.sh", "AVERAGE", number) for number in ("0", "1", "-2", "2.5", "five")]
    + [("grid.sh", "AVERAGE", "1"), ("grid.sh", "JOBS", "0"), ("grid.sh", "JOBS", "all")],
)
def test_what_is_no_number_is_refused(recipe, programs, tmp_path, command, variable, number):
    variables = {**programs, "SYSTEMS": "intra_x", variable: number}
    process = recipe(command, "wmt17", "intra_x", **variables)
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert f"{command}: {variable}={number} is no number of " in process.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("average", ["", "2"])
def test_each_student_of_self_distillation_teaches_the_next(recipe, programs, tmp_path, average):
    variables = {**programs, "DATASET": "de-en", "AVERAGE": average}
    process = recipe("self_distill.sh", "multi30k", "2", **variables)
    assert process.returncode == 0, process.stderr
    configurations = [Path(call[2]).name for call in calls(tmp_path / "venv", *ARGS)]
    assert configurations == ["transformer"] * 2 + ["self_distillation"] * 4

    runs = tmp_path / "runs" / "de-en"
    trainings = calls(tmp_path / "venv", "fairseq-train")
    assert [call[call.index("--save-dir") + 1 :] for call in trainings] == [
        [f"{runs}/transformer/seed1"],
        [
            f"{runs}/self_distillation_1/seed1",
            *["--teacher-path", f"{runs}/transformer/seed1/checkpoint_best.pt"],
        ],
        [
            f"{runs}/self_distillation_2/seed1",
            *["--teacher-path", f"{runs}/self_distillation_1/seed1/checkpoint_best.pt"],
        ],
    ]
    suffix = average and f"+average={average}"
    names = [f"{name}{suffix}" for name in ("transformer", *STUDENTS)]
    scored = calls(tmp_path / "venv", "intra-distill", "evaluate")
    assert [value(call, "--name") for call in scored] == names
    results = [f"{runs}/{name}/seed1/test.json" for name in names]
    assert calls(tmp_path / "venv", "intra-distill")[-1][1:] == ["table", *results]


# A pretrained model, and several subsets

PRETRAINED = """case $1 in
    bert | xlmr) mkdir -p "$(option --destdir "$@")" && touch "$(option --destdir "$@")/model.pt" ;;
    args)
        case "$*" in
        */model.yaml) echo "--encoder-layers 2" ;;
        *"--generation"*mnli*) echo "--gen-subset valid,valid1" ;;
        */glue/*"--generation"*) echo "--gen-subset valid" ;;
        *"--generation"*) ;;
        *) echo "--encoder-layers 12" ;;
        esac
        ;;
    prepare-*)
        mkdir -p "$(option --destdir "$@")"
        touch "$(option --destdir "$@")"/{valid,test-ar,test-de}.ref
        ;;
    evaluate)
        results=$(option --results-path "$@")
        mkdir -p "$results"
        subsets=test-ar,test-de
        [[ " $* " != *" --gen-subset "* ]] || subsets=$(option --gen-subset "$@")
        for subset in ${subsets//,/ }; do touch "$results/$subset.json"; done
        ;;
    esac"""


@pytest.fixture
def pretrained(recipe, tmp_path):
    """Run a script of a recipe that fine-tunes, with programs that stand for others → its calls."""
    write_programs(tmp_path / "venv", **{"intra-distill": PRETRAINED})
    variables = {"VENV": str(tmp_path / "venv"), "OVERRIDES": ""}

    def run(script: str, *arguments: str, **more: str) -> list[list[str]]:
        before = len(calls(tmp_path / "venv"))
        process = recipe(script, *arguments, **variables, **more)
        assert process.returncode == 0, process.stderr
        return calls(tmp_path / "venv")[before:]

    return run


def test_the_data_of_glue_needs_a_pretrained_model_which_is_made_unless_there_is_one(
    pretrained, tmp_path
):
    made, source = tmp_path / "data" / "bert", "hugging face"
    data = ["--downloads", str(tmp_path / "data/downloads"), "--source", "my GLUE"]
    data += ["--destdir", str(tmp_path / "data/rte/bin")]
    for variables, bert, conversions in (
        ({}, made, [[]]),
        ({"BERT_SOURCE": source}, made, [["--source", source]]),
        ({"BERT": str(tmp_path / "my bert")}, tmp_path / "my bert", []),
    ):
        made_of = pretrained("glue/prepare.sh", "my GLUE", DATASET="rte", **variables)
        assert [call[2:] for call in made_of if call[1] == "bert"] == [
            ["--destdir", str(made), *options] for options in conversions
        ]
        (call,) = (call for call in made_of if call[1] == "glue")
        assert call[-10:] == ["--task", "rte", "--bert", str(bert), *data]


def test_a_training_starts_from_the_pretrained_model_and_has_its_sizes(pretrained, tmp_path):
    bert = tmp_path / "my bert"
    bert.mkdir()
    (bert / "model.pt").touch()
    (call,) = (
        call
        for call in pretrained("train.sh", "glue", "intra_x", DATASET="rte", BERT=str(bert))
        if call[0] == "fairseq-train"
    )
    assert call[1] == f"{tmp_path}/data/rte/bin"
    options = ["--encoder-layers", "12", "--encoder-layers", "2"]
    start = ["--finetune-from-model", f"{bert}/model.pt"]
    assert call[4:] == [*options, *start, "--save-dir", f"{tmp_path}/runs/rte/intra_x/seed1"]


def test_a_training_without_the_pretrained_model_is_refused(recipe, programs, tmp_path):
    process = recipe("train.sh", "glue", "plain", DATASET="rte", **programs)
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert f"there is no pretrained model in {tmp_path}/data/bert: run scripts/glue/" in (
        process.stderr
    )
    assert not (tmp_path / "runs").exists()


def test_the_table_of_glue_has_each_subset_of_a_task_as_a_data_set_of_its_own(pretrained, tmp_path):
    grid = {"SYSTEMS": "plain intra_x", "DATASETS": "mnli rte"}
    made = pretrained("glue/run.sh", **grid, BERT_SOURCE="hugging face")
    runs = tmp_path / "runs"
    results = {
        system: [f"{runs}/mnli/{system}/seed1/{subset}.json" for subset in ("valid", "valid1")]
        + [f"{runs}/rte/{system}/seed1/valid.json"]
        for system in ("plain", "intra_x")
    }
    tested = [call for call in made if "--baseline" in call]
    # the last value of an option counts
    assert [call[-4:] for call in tested] == [
        ["--gen-subset", "valid,valid1", "--baseline", f"{runs}/mnli/plain/seed1"],
        ["--gen-subset", "valid", "--baseline", f"{runs}/rte/plain/seed1"],
    ]
    table = made[-1]
    assert table[2:8] == [
        *results["plain"][:2],
        *results["intra_x"][:2],
        results["plain"][2],
        results["intra_x"][2],
    ]
    assert value(table, "--datasets") == "mnli-m,mnli-mm,rte"
    assert value(table, "--paper").endswith("configs/glue/paper.yaml")


def test_a_run_that_lacks_a_subset_is_listed_once(recipe, pretrained, tmp_path):
    pretrained("glue/run.sh", SYSTEMS="plain", DATASETS="mnli")
    (tmp_path / "runs/mnli/plain/seed1/valid1.json").unlink()
    (tmp_path / "runs/mnli/plain/seed1/valid.json").unlink()
    grid = {"SYSTEMS": "plain", "DATASETS": "mnli", "OVERRIDES": ""}
    process = recipe("report.sh", "glue", **grid, VENV=str(tmp_path / "venv"))
    assert process.returncode == 1
    assert process.stderr.startswith(f"no result: {tmp_path}/runs/mnli/plain/seed1: ")
    assert process.stderr.count("\n") == 1


def test_a_submission_has_the_runs_of_a_system_on_all_tasks(pretrained, recipe, tmp_path):
    call = pretrained("glue/submit.sh", "intra_x", "--fill", DATASETS="rte mnli", SEED="2")[-1]
    data, runs = tmp_path / "data", tmp_path / "runs"
    assert call[1:] == [
        *["glue-submission", "--data", f"rte={data}/rte/bin", f"mnli={data}/mnli/bin"],
        *["--path", f"rte={runs}/rte/intra_x/seed2/checkpoint_best.pt"],
        f"mnli={runs}/mnli/intra_x/seed2/checkpoint_best.pt",
        *["--output", f"{runs}/intra_x-seed2.zip", "--fill"],
    ]
    call = pretrained("glue/submit.sh", "plain", AVERAGE="3")[-1]
    assert call[3:11] == [f"{task}={data}/{task}/bin" for task in TASKS]
    assert call[12] == f"cola={runs}/cola/plain+average=3/seed1/average.pt"
    assert value(call, "--output") == f"{runs}/plain+average=3-seed1.zip"
    process = recipe("glue/submit.sh", "plain", DATASETS="rte wnli", VENV=str(tmp_path / "venv"))
    assert process.returncode == 2 and "there is no data set wnli; name one" in process.stderr


# Test sets of many languages


def test_one_evaluation_is_of_all_languages_and_so_is_the_table(pretrained, tmp_path):
    runs, data = tmp_path / "runs", tmp_path / "data"
    for recipe, chosen in {"panx": "checkpoint_best.pt", "tydiqa": "checkpoint_last.pt"}.items():
        more = {"DATA": str(data / recipe), "RUNS": str(runs / recipe), "XLMR": str(tmp_path)}
        (tmp_path / "model.pt").touch()
        made = pretrained(f"{recipe}/run.sh", "somewhere", SYSTEMS="plain intra_x", **more)
        folders = [f"{runs}/{recipe}/{system}/seed1" for system in ("plain", "intra_x")]
        *scored, tested = [call for call in made if call[1] == "evaluate"]
        assert [value(call, "--path") for call in scored] == [
            f"{each}/{chosen}" for each in folders
        ]
        assert not any("--gen-subset" in call for call in scored)
        languages = ["--gen-subset", "test-ar,test-de", "--baseline", folders[0]]
        assert value(tested, "--path") == f"{folders[1]}/{chosen}" and tested[-4:] == languages
        results = [f"{folder}/test-{name}.json" for folder in folders for name in ("ar", "de")]
        assert made[-1][2:6] == results and value(made[-1], "--datasets") == "ar,de"
        assert value(made[-1], "--paper").endswith(f"configs/{recipe}/paper.yaml")


def test_a_run_that_lacks_languages_is_listed_and_the_others_are_shown(
    recipe, pretrained, tmp_path
):
    (tmp_path / "model.pt").touch()
    grid = {"SYSTEMS": "plain intra_x", "XLMR": str(tmp_path)}
    pretrained("panx/run.sh", **grid)
    (tmp_path / "runs/intra_x/seed1/test-ar.json").unlink()
    process = recipe("report.sh", "panx", **grid, OVERRIDES="", VENV=str(tmp_path / "venv"))
    assert process.returncode == 1
    assert process.stderr.startswith(f"no result: {tmp_path}/runs/intra_x/seed1: ")
    *_, tested, table = calls(tmp_path / "venv", "intra-distill")
    assert value(tested, "--gen-subset") == "test-de"
    assert [Path(result).name for result in table[2:5]] == [
        *("test-ar.json", "test-de.json", "test-de.json")
    ]


def test_the_data_of_wikiann_is_of_the_languages_and_the_split_that_are_asked_for(
    pretrained, tmp_path
):
    raw, data = f"{tmp_path}/data/raw", f"{tmp_path}/data"
    made = pretrained("panx/prepare.sh", LANGUAGES="ar de", TEST_SPLIT="dev")
    options = ["--destdir", raw, "--downloads", f"{data}/downloads"]
    assert [
        "intra-distill",
        "panx",
        *options,
        "--languages",
        "ar,de",
        "--test-split",
        "dev",
    ] in made
    assert ["intra-distill", "xlmr", "--destdir", f"{data}/xlmr", "--size", "large"] in made
    assert made[-1][-5:] == [raw, "--xlmr", f"{data}/xlmr", "--destdir", f"{data}/bin"]
    made = pretrained("panx/prepare.sh", "my WikiAnn", XLMR_SOURCE="my XLM-R")
    assert ["intra-distill", "panx", *options, "--source", "my WikiAnn"] in made
    assert ["intra-distill", "xlmr", "--destdir", f"{data}/xlmr", "--source", "my XLM-R"] in made


@pytest.mark.parametrize("name, file", [("panx", "train.tsv"), ("tydiqa", "train.json")])
def test_text_of_ones_own_is_prepared_as_it_is(pretrained, tmp_path, name, file):
    own = tmp_path / "my text"
    own.mkdir()
    (own / file).touch()
    made = pretrained(f"{name}/prepare.sh", str(own), XLMR=str(tmp_path))
    assert [call[1] for call in made if call[1] not in ("user-dir", "args")] == [
        "prepare-tags" if name == "panx" else "prepare-spans"
    ]
    assert made[-1][-5:-2] == [str(own), "--xlmr", str(tmp_path)]


# Averages of the last checkpoints


def test_training_keeps_what_is_averaged(recipe, programs, tmp_path):
    process = recipe("train.sh", "wmt17", "intra_x", **programs, AVERAGE="5")
    assert process.returncode == 0, process.stderr
    (call,) = calls(tmp_path / "venv", *ARGS)
    assert call[3:-1] == ["checkpoint.keep_interval_updates=5", "criterion.alpha=2"]


def test_an_average_stands_beside_the_run_and_follows_its_checkpoints(recipe, programs, tmp_path):
    venv, run = tmp_path / "venv", tmp_path / "runs/transformer/seed1"
    average = tmp_path / "runs/transformer+average=2/seed1/average.pt"

    def evaluate(**variables: str) -> None:
        process = recipe("evaluate.sh", "wmt17", "transformer", **programs, **variables)
        assert process.returncode == 0, process.stderr

    assert recipe("train.sh", "wmt17", "transformer", **programs).returncode == 0
    evaluate()
    evaluate(AVERAGE="2")
    ours, theirs = calls(venv, "intra-distill", "evaluate")
    assert [value(call, "--name") for call in (ours, theirs)] == [
        "transformer",
        "transformer+average=2",
    ]
    assert value(ours, "--path") == f"{run}/checkpoint_best.pt"
    assert value(theirs, "--path") == str(average)
    assert (run / "test.json").exists() and average.with_name("test.json").exists()

    averages = [
        ["intra-distill", "average", "--inputs", str(run)]
        + ["--num-update-checkpoints", "2", "--output", str(average)]
    ]
    evaluate(AVERAGE="2")
    assert calls(venv, "intra-distill", "average") == averages  # not averaged again
    later = time.time() + 10
    for change in (
        lambda: (run / "checkpoint_2_6.pt").touch(),
        lambda: os.utime(run / "checkpoint_2_6.pt", (later, later)),
    ):
        change()
        evaluate(AVERAGE="2")
        averages.append(averages[0])
        assert calls(venv, "intra-distill", "average") == averages


def test_too_few_checkpoints_are_refused(recipe, programs, tmp_path):
    assert recipe("train.sh", "wmt17", "transformer", **programs).returncode == 0
    process = recipe("evaluate.sh", "wmt17", "transformer", **programs, AVERAGE="3")
    assert process.returncode == 2 and process.stderr == (
        f"evaluate.sh: AVERAGE=3, but {tmp_path}/runs/transformer/seed1 has 2 checkpoints to "
        "average: train it anew with AVERAGE=3, which keeps as many, or leave AVERAGE out\n"
    )
    assert not (tmp_path / "runs/transformer+average=3").exists()


@pytest.mark.parametrize(
    "options, refusal",
    [
        ([], "AVERAGE=6, but 10 updates are saved 5 times"),
        (["--max-update=12"], ""),
        (["--save-interval-updates", "1"], ""),
        (["--save-interval-updates", "0"], "AVERAGE=6 needs checkpoints within epochs"),
        (["--max-update", "0"], ""),  # as many as there are
    ],
)
def test_a_training_that_saves_too_seldom_is_refused(recipe, programs, tmp_path, options, refusal):
    process = recipe("train.sh", "wmt17", "intra_x", *options, **programs, AVERAGE="6")
    assert (process.returncode == 2) == bool(refusal) and refusal in process.stderr
    assert process.stderr.count("\n") == bool(refusal)
    assert (tmp_path / "runs").exists() != bool(refusal)


def test_a_grid_of_averages(recipe, programs, tmp_path):
    grid = {"SYSTEMS": "transformer intra_x", "AVERAGE": "2"}
    process = recipe("ablations.sh", "multi30k", "/nowhere", **programs, **grid)
    assert process.returncode == 0, process.stderr
    venv, runs = tmp_path / "venv", tmp_path / "runs" / "de-en"
    (table,) = calls(venv, "intra-distill", "table")
    names = value(table, "--systems").split(",")
    assert names[:2] == ["transformer+average=2", "intra_x+average=2"]
    assert table[2 : 2 + len(names)] == [f"{runs}/{name}/seed1/test.json" for name in names]
    baselines = {
        value(call, "--baseline")
        for call in calls(venv, "intra-distill", "evaluate")
        if "--baseline" in call
    }
    assert baselines == {f"{runs}/transformer+average=2/seed1"}
    (picture,) = calls(venv, "intra-distill", "plot", "bleu")
    assert picture[3] == f"{runs}/transformer+average=2"


# Ablations


@pytest.mark.parametrize(
    "name, beside",
    [("iwslt14", {"de-en": ["references/de-en.yaml"], "he-en": []}), ("multi30k", {"": []})],
)
def test_published_curves_are_drawn_beside_those_of_their_pair(
    recipe, programs, tmp_path, name, beside
):
    """In the picture of the systems that they are of, and in no other."""
    runs = tmp_path / "runs"
    for pair in beside:
        (runs / pair / "transformer/seed1").mkdir(parents=True)
        for file in ("train.log", "test.json"):
            (runs / pair / "transformer/seed1" / file).touch()
    datasets = {"DATASETS": " ".join(beside)} if name == "iwslt14" else {}
    process = recipe("ablations.sh", name, "/nowhere", **programs, **datasets)
    assert process.returncode == 0, process.stderr
    drawn = {
        value(call, "--plot"): [value(call, "--reference")] if "--reference" in call else []
        for call in calls(tmp_path / "venv", "intra-distill", "plot")
    }
    assert len(drawn) > 3 * len(beside)
    for picture, given in drawn.items():
        pair = "" if name == "multi30k" else Path(picture).parent.name
        expected = beside[pair] if Path(picture).stem == "adaptive" else []
        assert given == [str(ROOT / "configs" / name / file) for file in expected]


# Starting the training


def test_a_launcher_in_a_folder_of_any_name(recipe, tmp_path):
    venv = tmp_path / "an environment"
    write_programs(venv, launcher="true")
    variables = {"VENV": str(venv), "LAUNCHER": "launcher --nproc 8 *"}
    assert recipe("train.sh", "wmt17", "transformer", **variables).returncode == 0
    (call,) = calls(venv, "launcher")
    assert call[1:4] == ["--nproc", "8", "*"]
    assert call[4:6] == [f"{venv}/bin/fairseq-train", f"{tmp_path}/data/bin"]


def test_a_run_that_another_process_trains_is_left_to_it(recipe, programs, tmp_path):
    run = tmp_path / "runs" / "transformer" / "seed1"
    run.mkdir(parents=True)
    with open(run / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = recipe("train.sh", "wmt17", "transformer", **programs)
    assert process.returncode == 1
    assert process.stderr == f"{run} is being trained by another process\n"
    assert not calls(tmp_path / "venv", "fairseq-train")


TOOLS = ["bash", "basename", "cat", "dirname", "env", "grep", "mkdir", "sha256sum", "tee", "touch"]
NO_LOCKS = 'echo "flock: 9: Function not implemented" >&2; exit 71'


@pytest.mark.parametrize("command", [NO_LOCKS, None])
def test_training_goes_on_where_nothing_can_be_locked(recipe, programs, tmp_path, command):
    variables = {}
    if command:
        write_programs(tmp_path / "venv", flock=command)
    else:  # as on macOS
        (tmp_path / "tools").mkdir()
        for tool in TOOLS:
            (tmp_path / "tools" / tool).symlink_to(shutil.which(tool))
        variables = {"PATH": str(tmp_path / "tools"), "LC_ALL": "C"}
    process = recipe("train.sh", "wmt17", "transformer", **programs, **variables)
    assert process.returncode == 0, process.stderr
    run = tmp_path / "runs" / "transformer" / "seed1"
    why = "flock: 9: Function not implemented" if command else "flock: command not found"
    assert process.stderr == (
        f"{run} cannot be locked: see to it that no other process trains it ({why})\n"
    )
    assert (run / "trained").exists()
