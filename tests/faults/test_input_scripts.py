"""Strange input: the scripts.

Recipes run in folders of any name and stop at the first failure.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("scripts/*/*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_pass_shellcheck_and_stop_at_the_first_failure(script, inject):
    text = script.read_text(encoding="utf-8")
    sourced = script.name in ("recipe.sh", "pretrained.sh", "environment.sh", "raw.sh")
    if text.startswith("#!"):
        assert re.search(r"^set -euo pipefail$|^source .*recipe.sh\"$", text, re.MULTILINE)
    else:
        assert sourced
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    inject()
    process = subprocess.run(
        ["shellcheck", "--external-sources", "--source-path", str(ROOT), str(script)],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the scripts, in a folder of a strange name, with commands that only note."""
    project = tmp_path / "mein Projekt (é) $x &"
    for folder in ("scripts", "configs"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "setup.py", project)
    commands = project / "environment" / "bin"
    commands.mkdir(parents=True)
    (commands / "intra-distill").write_text(
        """#!/usr/bin/env bash
[[ "$1" != user-dir ]] || exit 0 # asked for by environment.sh
printf '%s\\n' "<$*>" >>"$NOTES"
[[ "$1" != "${FAIL:-}" ]] || exit 1
while (($#)); do
    [[ $1 != --results-path ]] || { mkdir -p "$2" && touch "$2/test.json"; }
    shift
done
"""
    )
    (commands / "fairseq-train").write_text(
        '#!/usr/bin/env bash\nprintf \'%s\\n\' "<$*>" >>"$NOTES"\n'
    )
    (commands / "curl").write_text(
        "#!/usr/bin/env bash\n[[ ${FAIL:-} != curl ]] || exit 22\n"
        'printf "%s\\n" "<curl ${*: -1}>" >>"$NOTES"\n'
        'while (($#)); do [[ $1 != --output ]] || echo text | gzip >"$2"; shift; done\n'
    )
    for command in commands.iterdir():
        command.chmod(0o755)
    return project


def run_script(project: Path, script: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a script of the copied project → its exit code and what the commands were given."""
    notes = project / "notes"
    venv = project / "environment"
    unset = ("DATA", "RUNS", "DATASET", "BERT")
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    environment = {**kept, "VENV": str(venv), "NOTES": str(notes), **variables}
    environment["PATH"] = f"{venv}/bin:{environment['PATH']}"
    command = ["bash", str(project / "scripts" / script), *arguments]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    return process.returncode, notes.read_text(encoding="utf-8") if notes.exists() else ""


@pytest.mark.parametrize(
    "script, variables",
    [
        ("quickstart.sh", {}),
        ("multi30k/run.sh", {}),
        ("multi30k_full/run.sh", {"DATASETS": "de-en en-cs"}),
        ("self_distill.sh", {"DATASET": "de-en"}),
        ("iwslt14/run.sh", {"DATASETS": "de-en", "SYSTEMS": "transformer intra_x"}),
        ("wmt17/run.sh", {"SYSTEMS": "transformer intra_x"}),
    ],
)
def test_a_recipe_runs_in_a_folder_of_any_name(project, inject, script, variables):
    inject()
    arguments = ["multi30k", "1"] if "self" in script else []
    code, notes = run_script(project, script, *arguments, **variables)
    assert code == 0 and f"{project}/runs" in notes and "<table " in notes
    assert not list(project.rglob("*.tmp")) and not list(project.rglob("*.gz"))


@pytest.mark.parametrize("failing", ["toy-corpus", "prepare", "evaluate"])
def test_a_recipe_stops_at_the_first_failure(project, inject, failing):
    inject()
    code, notes = run_script(project, "quickstart.sh", FAIL=failing)
    assert code != 0 and notes.splitlines()[-1].startswith(f"<{failing} ")


def test_text_of_multi30k_is_fetched_once_for_all_pairs(project, inject):
    inject()
    grid = {"DATASETS": "de-en en-fr fr-en", "SYSTEMS": "transformer"}
    code, notes = run_script(project, "multi30k/run.sh", **grid)
    fetched = [line[:-4].rpartition("/")[2] for line in notes.splitlines() if "<curl" in line]
    splits = ("train", "val", "test_2016_flickr")
    files = sorted(f"{split}.{lang}" for split in splits for lang in ("de", "en", "fr"))
    assert code == 0 and sorted(fetched) == files
    assert sorted(path.name for path in (project / "data/multi30k/raw").iterdir()) == files
    for pair in ("de-en", "en-fr", "fr-en"):
        (made,) = (line for line in notes.splitlines() if f"multi30k/{pair}/bin>" in line)
        source, target = pair.split("-")
        assert f"--source-lang {source} --target-lang {target} --train {project}/data" in made


def test_a_failed_download_leaves_nothing_behind(project, inject):
    inject()
    code, notes = run_script(project, "multi30k/prepare.sh", DATASET="de-en", FAIL="curl")
    assert code == 1 and not notes
    assert [path for path in (project / "data").rglob("*") if path.is_file()] == []
