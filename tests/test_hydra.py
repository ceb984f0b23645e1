import os
import subprocess
import sys
from pathlib import Path

import torch

from intra_distill.tools.config import config_arguments

from .support.training import CONFIGS, USER_DIR

COMMON = {
    "optimization.max_update": 3,
    "checkpoint.save_interval_updates": 0,
    "dataset.disable_validation": "true",
    "dataset.max_tokens": 80,
    "common.cpu": "true",
}


def run(module: str, *arguments: str, cwd: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, check=True, cwd=cwd, env=environment, capture_output=True)


def test_one_config_is_the_same_run_in_fairseq_train_and_in_hydra(data, tmp_path):
    config = CONFIGS / "multi30k" / "intra_x.yaml"
    overrides = [f"{key}={value}" for key, value in COMMON.items()]
    run(
        "fairseq_cli.train",
        *[data, "--user-dir", USER_DIR, *config_arguments(config, overrides)],
        *["--save-dir", "cli"],
        cwd=tmp_path,
    )
    run(
        "fairseq_cli.hydra_train",
        *["--config-dir", str(config.parent), "--config-name", config.stem, *overrides],
        *[f"common.user_dir={USER_DIR}", f"task.data={data}"],
        *[f"checkpoint.save_dir={tmp_path / 'hydra'}", "hydra.run.dir=."],
        cwd=tmp_path,
    )
    cli, hydra = (
        torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)
        for name in ("cli", "hydra")
    )
    assert cli["optimizer_history"][-1]["num_updates"] == 3
    for name, parameter in cli["model"].items():
        assert torch.equal(parameter, hydra["model"][name]), name
    assert cli["cfg"]["task"] == hydra["cfg"]["task"]
    assert cli["cfg"]["criterion"] == hydra["cfg"]["criterion"]
