from pathlib import Path

import pytest
from fairseq.options import get_training_parser, parse_args_and_arch

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.config import config_arguments

from ..support.training import CONFIGS, USER_DIR

NO_SYSTEMS = {"prepare", "paper"}
SYSTEMS = sorted(path for path in CONFIGS.glob("*/*.yaml") if path.stem not in NO_SYSTEMS)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_groups_become_options(tmp_path):
    config = write(
        tmp_path / "a.yaml",
        "task: {_name: translation, data: '???', left_pad_source: true, eval_bleu: false}\n"
        "model: {_name: transformer, encoder_layers: 3, decoder_embed_path: null}\n"
        "optimization: {lr: [0.1, 0.2], update_freq: [4]}\n"
        "generation: {beam: 5}\n",
    )
    assert (
        config_arguments(config)
        == (
            "--task translation --left-pad-source --arch transformer --encoder-layers 3 "
            "--lr 0.1,0.2 --update-freq 4"
        ).split()
    )
    assert config_arguments(config, generation=True) == ["--beam", "5"]
    assert (
        config_arguments(config, ["model.encoder_layers=6", "task.eval_bleu=true"])
        == (
            "--task translation --left-pad-source --eval-bleu --arch transformer "
            "--encoder-layers 6 --lr 0.1,0.2 --update-freq 4"
        ).split()
    )


def test_a_flat_file_is_the_options_of_one_command(tmp_path):
    config = write(tmp_path / "a.yaml", "source_lang: de\nlowercase: true\nmax_ratio: 1.5\n")
    assert config_arguments(config) == "--source-lang de --lowercase --max-ratio 1.5".split()


@pytest.mark.parametrize(
    "text, overrides, named",
    [
        (None, [], "no such configuration file"),
        ("a: [1\n", [], "a.yaml"),
        ("just words\n", [], "a.yaml"),
        ("a: {b: 1}\n", ["a"], "'a' is no override"),
        ("a: {b: 'two words'}\n", [], "'two words': write the value without spaces"),
        ("a: {b: ''}\n", [], "without spaces"),
        ("a: {b: '${nothing.here}'}\n", [], "nothing"),
    ],
)
def test_no_configuration_is_refused(tmp_path, text, overrides, named):
    config = tmp_path / "a.yaml"
    if text is not None:
        write(config, text)
    with pytest.raises(UserError) as refusal:
        config_arguments(config, overrides)
    assert named in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("config", SYSTEMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_fairseq_takes_the_arguments_of_every_config(config):
    arguments = config_arguments(config)
    parse_args_and_arch(get_training_parser(), ["data", "--user-dir", USER_DIR, *arguments])


@pytest.mark.parametrize("recipe", sorted({path.parent for path in SYSTEMS}), ids=lambda p: p.name)
def test_the_systems_of_a_recipe_differ_in_their_method_alone(recipe):
    method = {"--num-passes", "--criterion", "--divergence", "--constant-alpha"}
    method |= {"--alpha", "--alpha-p", "--alpha-q", "--arch", "--num-experts"}
    # SAGE's learning rate is a multiple of Adam's, and it has names of its own for the betas
    method |= {"--optimizer", "--lr", "--adam-betas", "--sage-beta1", "--sage-beta2"}
    method |= {"--sage-base", "--sage-beta3", "--fp16-no-flatten-grads"}

    def shared(config: Path) -> set[tuple[str, str]]:
        arguments = config_arguments(config)
        values = [*arguments[1:], "--"]
        return {
            (option, "" if value.startswith("--") else value)
            for option, value in zip(arguments, values)
            if option.startswith("--") and option not in method
        }

    plain = shared(recipe / "transformer.yaml")
    for config in SYSTEMS:
        if config.parent == recipe:
            assert shared(config) == plain, config


def test_the_command_prints_one_line(capsys):
    main(["args", str(CONFIGS / "multi30k" / "intra_x.yaml")])
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and "--criterion intra_distillation" in printed


def test_user_dir_is_a_folder_that_fairseq_takes(capsys):
    main(["user-dir"])
    assert capsys.readouterr().out.strip() == USER_DIR


def test_what_the_user_got_wrong_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as ending:
        main(["args", "nothing.yaml"])
    assert str(ending.value) == "intra-distill args: nothing.yaml: no such configuration file"
    with pytest.raises(SystemExit) as ending:
        main(["no-such-command"])
    assert ending.value.code == 2
