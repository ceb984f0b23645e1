"""The runs of a grid: on the GPUs of a machine, on its CPU, and as jobs of SLURM."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from fairseq.options import get_training_parser, parse_args_and_arch

from intra_distill.tools.config import config_arguments

from .support.programs import calls, value, write_programs
from .support.training import CONFIGS, USER_DIR

ROOT = Path(__file__).parents[1]
# notes the GPU of a run, and "busy" where another run goes on; waits a while for another
TRAIN = """
    mkdir "$notes.busy" 2>/dev/null || busy=busy
    echo "${CUDA_VISIBLE_DEVICES-unset} ${busy:-}" >>"$notes.gpus"
    for ((i = 0; i < PATIENCE; i++)); do
        [[ $(wc -l <"$notes.gpus") == 1 ]] && sleep 0.1
    done
    touch "$(option --save-dir "$@")/checkpoint_best.pt"
    [[ ${busy:-} ]] || rmdir "$notes.busy"
"""
# notes the GPU and the threads of a run, and waits a while for three others
SHARED = """
    echo "${CUDA_VISIBLE_DEVICES-unset} ${OMP_NUM_THREADS-unset}" >>"$notes.shares"
    for ((i = 0; i < PATIENCE; i++)); do
        [[ $(wc -l <"$notes.shares") == 4 ]] || sleep 0.1
    done
    touch "$(option --save-dir "$@")/checkpoint_best.pt"
"""
# stores the batch scripts, as SLURM does, and their options
SBATCH = """
    number=$(cat "$notes.number" 2>/dev/null || echo 1)
    echo $((number + 1)) >"$notes.number"
    cat >"$notes.job$number"
    chmod +x "$notes.job$number"
    [[ " $* " == *" --parsable "* ]] && echo "$number;cluster" || echo "Submitted $number"
"""


@pytest.fixture
def grid(tmp_path):
    """Run a grid with programs in place of those that compute → the finished process."""

    def grid(
        systems: str, recipe: str = "wmt17", script: str = "grid.sh", **variables: str
    ) -> subprocess.CompletedProcess:
        unset = (GPUS, "OMP_NUM_THREADS")
        environment = {name: text for name, text in os.environ.items() if name not in unset}
        environment |= {"VENV": "venv", "DATA": "data", "RUNS": "the runs", "SYSTEMS": systems}
        return subprocess.run(
            ["bash", str(ROOT / "scripts" / script), recipe, "/nowhere"],
            env={**environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return grid


# On this machine


GPUS = "CUDA_VISIBLE_DEVICES"
TWO_GPUS = "echo 0; echo 1"
NO_DRIVER = """
    echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    exit 9
"""
ONE_LOST = "echo 0; echo 'Unable to determine the device handle for GPU 1'; exit 15"


@pytest.mark.parametrize(
    "nvidia_smi, variables, gpus, stderr",
    [
        (TWO_GPUS, {}, {"0", "1"}, ""),
        (NO_DRIVER, {}, {"unset"}, "couldn't communicate with the NVIDIA driver"),
        (ONE_LOST, {}, {"0"}, "Unable to determine the device handle for GPU 1"),
        ("echo No devices were found", {}, {"unset"}, "No devices were found"),
        (TWO_GPUS, {GPUS: ""}, {""}, ""),
        (TWO_GPUS, {GPUS: "-1"}, {"-1"}, ""),
        (NO_DRIVER, {GPUS: "2, 3"}, {"2", "3"}, ""),
        (TWO_GPUS, {GPUS: "2,-1,3"}, {"2"}, ""),
        (TWO_GPUS, {GPUS: "GPU-8a2b,MIG-1c/2/0"}, {"GPU-8a2b", "MIG-1c/2/0"}, ""),
    ],
)
def test_each_gpu_has_one_run_at_a_time(grid, tmp_path, nvidia_smi, variables, gpus, stderr):
    write_programs(
        tmp_path / "venv",
        **{"nvidia-smi": nvidia_smi, "fairseq-train": TRAIN},
    )
    patience = "100" if len(gpus) > 1 else "3"
    process = grid("transformer intra_x", PATIENCE=patience, **variables)
    assert process.returncode == 0, process.stderr
    lines = (tmp_path / "venv" / "notes.gpus").read_text().splitlines()
    assert {line.rpartition(" ")[0] for line in lines} == gpus
    assert sum(line.endswith("busy") for line in lines) == len(gpus) - 1
    assert stderr in process.stderr and process.stderr.count("\n") == bool(stderr)


@pytest.mark.parametrize(
    "gpus, cores, variables, shares",
    [
        (2, 10, {}, ["0 2", "0 2", "1 2", "1 2"]),
        (0, 3, {}, ["unset 1"] * 4),
        (1, 16, {"OMP_NUM_THREADS": "3"}, ["0 3"] * 4),
    ],
)
def test_runs_at_a_time_share_the_gpus_and_the_cores(
    grid, tmp_path, gpus, cores, variables, shares
):
    programs = {"nvidia-smi": f"seq 0 {gpus - 1}", "nproc": f"echo {cores}"}
    write_programs(tmp_path / "venv", **programs, **{"fairseq-train": SHARED})
    process = grid("transformer sage r_drop intra_x", JOBS="4", PATIENCE="100", **variables)
    assert process.returncode == 0, process.stderr
    notes = (tmp_path / "venv" / "notes.shares").read_text()
    assert sorted(notes.splitlines()) == shares


def test_a_run_alone_has_all_cores(grid, tmp_path):
    write_programs(tmp_path / "venv", **{"nvidia-smi": "echo 0", "fairseq-train": SHARED})
    assert grid("transformer", PATIENCE="0").returncode == 0
    assert (tmp_path / "venv" / "notes.shares").read_text() == "0 unset\n"


# As jobs of SLURM


def submit(grid, systems: str, **variables: str) -> None:
    """Submit a grid as jobs 1 and 2, or 3 and 4: its runs, and its table."""
    process = grid(systems, SBATCH="--partition gpu --nodelist node[1-4]", **variables)
    assert process.returncode == 0, process.stderr


def run_job(venv: Path, job: int, task: int = 0) -> None:
    """Run a stored job as after ``--export NONE``, with what a login sets, in another folder."""
    process = subprocess.run(
        [f"{venv}/notes.job{job}"],
        env={"SLURM_ARRAY_TASK_ID": str(task), "SEEDS": "9", "OVERRIDES": "of=login", "GPUS": "7"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


def test_a_job_belongs_to_its_submission(grid, tmp_path):
    venv, runs = tmp_path / "venv", tmp_path / "the runs"
    write_programs(venv, sbatch=SBATCH)
    submit(grid, "transformer intra_x+criterion.alpha='2'", SEEDS="1 2")
    submit(grid, "sage")
    for task in (4, 1, 3, 2):
        run_job(venv, 1, task)
    plain, intra_x = f"{runs}/transformer", f"{runs}/intra_x+criterion.alpha='2'"
    assert [value(call, "--save-dir") for call in calls(venv, "fairseq-train")] == [
        *[f"{intra_x}/seed2", f"{plain}/seed1", f"{plain}/seed2", f"{intra_x}/seed1"]
    ]
    run_job(venv, 2)
    assert calls(venv, "intra-distill", "table")[-1][2:6] == [
        f"{system}/seed{seed}/test.json" for seed in (1, 2) for system in (plain, intra_x)
    ]
    run_job(venv, 3, 1)
    assert value(calls(venv, "fairseq-train")[-1], "--save-dir") == f"{runs}/sage/seed1"


def test_a_job_has_the_variables_of_its_submission(grid, tmp_path):
    write_programs(tmp_path / "venv", sbatch=SBATCH, launcher='env -0 >"$notes.env"; exec "${@:3}"')
    variables = {
        "OVERRIDES": "a.b=1 c.d='it''s \"x\"' $HOME\n\\ é",
        "PREPARE": "--joined 'a  b'",
        "LAUNCHER": "launcher --nproc *",
        "AVERAGE": "2",
        "SEEDS": "3",
    }
    submit(grid, "transformer", **variables)
    run_job(tmp_path / "venv", 1, 1)
    lines = (tmp_path / "venv" / "notes.env").read_text(encoding="utf-8").split("\0")
    environment = dict(line.split("=", 1) for line in lines if line)
    assert variables.items() <= environment.items()
    assert environment["VENV"] == str(tmp_path / "venv")
    assert environment["DATA"] == str(tmp_path / "data")
    assert environment["RUNS"] == str(tmp_path / "the runs")
    assert "GPUS" not in environment and GPUS not in environment
    run_job(tmp_path / "venv", 2)
    (table,) = calls(tmp_path / "venv", "intra-distill", "table")
    assert table[2] == f"{tmp_path}/the runs/transformer+average=2/seed3/test.json"


def test_a_job_has_the_variables_of_its_recipe(grid, tmp_path):
    write_programs(tmp_path / "venv", sbatch=SBATCH)
    (tmp_path / "my bert").mkdir()
    (tmp_path / "my bert" / "model.pt").touch()
    submit(grid, "plain", recipe="glue", DATASETS="rte", BERT="my bert")
    run_job(tmp_path / "venv", 1, 1)
    (training,) = calls(tmp_path / "venv", "fairseq-train")
    assert value(training, "--finetune-from-model") == f"{tmp_path}/my bert/model.pt"


def test_the_options_of_a_job(grid, tmp_path):
    write_programs(tmp_path / "venv", sbatch=SBATCH)
    submit(grid, "transformer intra_x", RUNS="100 % runs", JOBS="4")
    array, table = calls(tmp_path / "venv", "sbatch")
    assert array[2:6] == table[1:5] == ["--partition", "gpu", "--nodelist", "node[1-4]"]
    assert value(array, "--array") == "1-2%4"
    assert value(array, "--output") == f"{tmp_path}/100 %% runs/slurm-%A-%a.log"
    assert value(table, "--output") == f"{tmp_path}/100 %% runs/slurm-%j-table.log"
    assert value(table, "--dependency") == "afterany:1"


@pytest.mark.parametrize("recipe", ["iwslt14", "multi30k", "multi30k_full"])
def test_each_system_of_the_ablations_can_be_trained(grid, tmp_path, recipe):
    write_programs(tmp_path / "venv", sbatch=SBATCH)
    process = grid("", recipe, "ablations.sh", SBATCH="--partition gpu")
    assert process.returncode == 0, process.stderr
    lines = (tmp_path / "venv" / "notes.job1").read_text().splitlines()
    (runs,) = (line[6:-1] for line in lines if line.startswith("runs=("))
    first, systems = shlex.split(runs)[:4], shlex.split(runs)[2::4]
    assert first == [recipe, "de-en", "transformer", "1"]
    assert len(systems) == len(set(systems)) > 12
    for system in systems:
        arguments = config_arguments(CONFIGS / recipe / system, dataset="de-en")
        parse_args_and_arch(get_training_parser(), ["data", "--user-dir", USER_DIR, *arguments])
