"""Programs that stand for those that compute: with them a script of a recipe takes a second."""

import shlex
from pathlib import Path

# what a program does, besides noting its arguments
PROGRAMS = {
    "fairseq-train": 'touch "$(option --save-dir "$@")"/checkpoint_{best,1_2,1_4}.pt',
    "intra-distill": """case $1 in
        args) echo "--save-interval-updates 2 --max-update 10" ;;
        average) touch "$(option --output "$@")" ;;
        evaluate)
            mkdir -p "$(option --results-path "$@")"
            touch "$(option --results-path "$@")/test.json"
            ;;
        esac""",
}
HEAD = """#!/usr/bin/env bash
set -eu
notes={notes}
echo "$(printf '%q ' "${{0##*/}}" "$@")" >>"$notes"
option() {{ # NAME ARGUMENT… → the argument after NAME
    while [[ $2 != "$1" ]]; do set -- "$1" "${{@:3}}"; done
    echo "$3"
}}
"""


def write_programs(venv: Path, **programs: str) -> None:
    """Fill an environment with programs, which note how they are called in the file ``notes``.

    Args:
        venv: the environment
        programs: what others than PROGRAMS do, in bash, or what these do instead
    """
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    for name, text in {**PROGRAMS, **programs}.items():
        path = venv / "bin" / name
        path.write_text(HEAD.format(notes=shlex.quote(f"{venv}/notes")) + text + "\n")
        path.chmod(0o755)


def calls(venv: Path, *beginning: str) -> list[list[str]]:
    """The calls so far that begin with these words: the program, then its arguments."""
    notes = venv / "notes"
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    return [words for words in map(shlex.split, lines) if words[: len(beginning)] == [*beginning]]


def value(call: list[str], option: str) -> str:
    """The value of an option in a call."""
    return call[call.index(option) + 1]
