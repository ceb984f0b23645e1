"""Every command line in every README: expanded by bash, then parsed by the command it is for."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fairseq import options

from intra_distill import WITHOUT_FAIRSEQ
from intra_distill.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
READMES = sorted(
    path.relative_to(ROOT)
    for folder in (".", "scripts", "configs", "tests")
    for path in (ROOT / folder).glob("README.md" if folder == "." else "**/README.md")
)
# Each command is a function that records its arguments. `intra-distill args` and `user-dir` print
# what other commands take as theirs.
STUBS = """
record() { printf '%s\\0' "$@" '' >&3; }  # in one write: the two sides of a pipe run at once
for command in fairseq-train fairseq-hydra-train fairseq-interactive fairseq-generate torchrun \\
    srun sbatch python pip pytest pre-commit; do
    eval "$command() { record $command \\"\\$@\\"; }"
done
bash() { if [[ $1 == -c ]]; then record "$@"; else record bash "$@"; fi; }
source() { :; }
intra-distill() {
    record intra-distill "$@"
    case $1 in
    user-dir) echo "$ROOT/intra_distill" ;;
    args) "$PYTHON" -c 'from intra_distill.cli import main; main()' "$@" ;;
    esac
}
TRAIN="data-bin --arch transformer"
"""


def code_blocks(readme: Path) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)


def code_spans(readme: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", (ROOT / readme).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def recorded(script: str, folder: Path) -> list[list[str]]:
    """Run a block of code with the stubs → the command lines that it calls."""
    for name in re.findall(r"< (\S+)", script):
        (folder / name).touch()
    calls = folder / "calls"
    environment = {"ROOT": str(ROOT), "PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), WITHOUT_FAIRSEQ: "1"}
    (folder / "configs").symlink_to(ROOT / "configs")
    subprocess.run(
        ["/bin/bash", "-euc", f"exec 3>{shlex.quote(str(calls))}\n{STUBS}\n{script}"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = calls.read_text(encoding="utf-8").split("\0\0")[:-1]
    return [line.split("\0") for line in lines]


def check(command: str, *arguments: str) -> None:
    """Have the command's own parser read a command line, or see that its script exists."""
    if command == "intra-distill":
        build_parser(COMMANDS).parse_args(arguments)
    elif command == "fairseq-train":
        options.parse_args_and_arch(options.get_training_parser(), list(arguments))
    elif command == "fairseq-interactive":
        options.parse_args_and_arch(options.get_interactive_generation_parser(), list(arguments))
    elif command in ("bash", "python") and arguments[0] != "-m":
        assert (ROOT / arguments[0]).is_file(), f"there is no {arguments[0]}"
        if command == "bash":
            check_recipe(*arguments)


def check_recipe(script: str, *arguments: str) -> None:
    """The recipe and the system that a script is called with exist."""
    name = Path(script).name
    if name in ("train.sh", "evaluate.sh", "self_distill.sh", "ablations.sh"):
        configs = ROOT / "configs" / arguments[0]
        assert configs.is_dir(), f"there is no recipe {arguments[0]}"
        if name in ("train.sh", "evaluate.sh") and "SYSTEM" not in arguments[1]:
            assert (configs / f"{arguments[1].split('+')[0]}.yaml").is_file()


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_the_command_lines_of_a_readme_are_right(readme, tmp_path):
    for number, block in enumerate(code_blocks(readme)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for command, *arguments in recorded(block, folder):
            try:
                check(command, *arguments)
            except SystemExit as error:
                pytest.fail(f"{readme}: {shlex.join([command, *arguments])}: {error}")


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_what_a_readme_names_exists(readme):
    """Scripts and commands in running text, and links to other files."""
    commands = {name.replace("_", "-") for name in COMMANDS}
    for span in code_spans(readme):
        for script in re.findall(r"(?:bash|python) (scripts/[\w/.]+)", span):
            assert (ROOT / script).is_file(), span
        for name in re.findall(r"^intra-distill ([a-z][\w-]*)", span):
            assert name in commands, span
    text = (ROOT / readme).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / readme).parent / link).exists(), link
