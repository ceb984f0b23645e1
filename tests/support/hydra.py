"""fairseq's programs in processes of their own, as hydra needs them."""

import os
import subprocess
import sys
from pathlib import Path

# what makes a training by the configuration of multi30k a short one of the data of the tests
SHORT_RUN = {
    "task.source_lang": "de",
    "task.target_lang": "en",
    "optimization.max_update": 3,
    "checkpoint.save_interval_updates": 0,
    "dataset.disable_validation": "true",
    "dataset.max_tokens": 80,
    "common.cpu": "true",
}


def run_module(module: str, *arguments: str, cwd: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, check=True, cwd=cwd, env=environment, capture_output=True)
