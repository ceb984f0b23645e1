import torch

from intra_distill.tools.config import config_arguments
from intra_distill.tools.reports.logs import points_of, read_log
from intra_distill.tools.reports.messages import TRAINING

from .support.hydra import SHORT_RUN, run_module
from .support.training import CONFIGS, USER_DIR


def test_one_config_is_the_same_run_in_fairseq_train_and_in_hydra(data, tmp_path):
    config = CONFIGS / "multi30k" / "intra_x.yaml"
    settings = {**SHORT_RUN, "dataset.disable_validation": "false", "common.log_interval": 1}
    overrides = [f"{key}={value}" for key, value in settings.items()]
    run_module(
        "fairseq_cli.train",
        *[data, "--user-dir", USER_DIR, *config_arguments(config, overrides)],
        *["--save-dir", "cli", "--log-file", "cli.log"],
        cwd=tmp_path,
    )
    run_module(
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
    for of, updates in {TRAINING: [1, 2, 3], "valid": [3]}.items():
        cli, hydra = (
            points_of(read_log(tmp_path / name, "x").statistics, of, "loss")
            for name in ("cli.log", "hydra_train.log")
        )
        assert cli == hydra and list(cli) == updates
