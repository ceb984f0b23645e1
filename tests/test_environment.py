"""The script that makes the environment: which Python it takes, and what makes it anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ["bash", "cat", "chmod", "dirname", "env", "ln", "mkdir", "rm", "sha256sum", "touch"]
# Stands for a Python, and for pip in its environments. As with the real ones, an environment links
# to its interpreter, which looks for packages in a folder of its version beside the link, and a
# command names its interpreter by the path that it was installed with.
PYTHON = """
#!/usr/bin/env bash
environment=$(dirname "$(dirname "$0")")
packages=$environment/lib/{version}
case "$1 ${{2:-}}" in
"-c import torchaudio") exit 1 ;;
"-c "*) exit {too_old} ;;
"- ") exit {no_wheel} ;;
"-m venv")
    [[ $3 != --clear ]] || rm -r "${{@: -1}}"
    mkdir -p "${{@: -1}}/bin"
    touch "${{@: -1}}/pyvenv.cfg"
    [[ -L ${{@: -1}}/bin/python ]] || ln -s "$0" "${{@: -1}}/bin/python"
    ;;
"-m pip")
    echo "{name} pip ${{*:3}}" >>"$environment/calls"
    [[ $* != *"${{BREAK:-nothing}}"* ]] || exit 1
    if [[ $* == *" --editable "* ]]; then
        mkdir -p "$packages"
        code=${{@: -1}}
        echo "${{code%"[test]"}}/intra_distill" >"$packages/code"
        command=$environment/bin/intra-distill
        printf '#!/usr/bin/env bash\\nexec %q intra-distill "$@"\\n' "$0" >"$command"
        chmod +x "$command"
    fi
    ;;
"intra-distill user-dir") exec cat "$packages/code" ;;
esac
""".lstrip()


@pytest.fixture
def enter(tmp_path):
    """Pythons by name, as (too old, without a wheel), → the process that makes an environment."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in TOOLS:
        (bin_folder / tool).symlink_to(shutil.which(tool))

    def enter(
        pythons: dict[str, tuple[int, int]],
        gcc: bool = False,
        version: str = "3.12",
        checkout: Path = ROOT,
        **variables: str,
    ) -> subprocess.CompletedProcess:
        for name, (too_old, no_wheel) in pythons.items():
            path = bin_folder / name
            path.write_text(
                PYTHON.format(name=name, too_old=too_old, no_wheel=no_wheel, version=version)
            )
            path.chmod(0o755)
        if gcc:
            (bin_folder / "gcc").symlink_to(shutil.which("true"))
        script = 'set -euo pipefail; source "$0/scripts/environment.sh"'
        return subprocess.run(
            ["bash", "-c", script, checkout],
            env={"PATH": str(bin_folder), **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return enter


def calls(venv: Path) -> list[str]:
    return (venv / "calls").read_text().splitlines()


NEW, BUILT = (0, 0), (0, 1)  # with a wheel, and without
OLD = (1, 1)


@pytest.mark.parametrize(
    "pythons, variables, chosen",
    [
        ({"python3": BUILT, "python3.12": NEW}, {}, "python3.12"),
        ({"python3": BUILT, "python3.12": OLD}, {}, "python3"),  # as a shim of none is
        ({"python3": BUILT}, {}, "python3"),
        ({"python3": OLD, "python3.13": BUILT}, {}, "python3.13"),
        ({"python3": BUILT, "python3.12": NEW}, {"PYTHON": "python3"}, "python3"),
    ],
)
def test_the_python_for_which_nothing_is_built_comes_first(
    enter, tmp_path, pythons, variables, chosen
):
    process = enter(pythons, gcc=True, VENV="venv", **variables)
    assert process.returncode == 0, process.stderr
    lines = calls(tmp_path / "venv")
    assert {line.split()[0] for line in lines} == {chosen}
    assert lines[0].startswith(f"{chosen} pip install") and lines[0].endswith(" torch")
    assert lines[-1] == f"{chosen} pip uninstall --yes torchaudio"  # which it cannot import


def test_a_compiler_is_wanted_only_where_something_is_built(enter, tmp_path):
    assert enter({"python3.12": NEW}, VENV="venv").returncode == 0
    shutil.rmtree(tmp_path / "venv")
    process = enter({"python3.12": OLD, "python3": BUILT}, VENV="venv")
    assert process.returncode == 1 and "gcc is needed" in process.stderr
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_refused(enter):
    process = enter({"python3": OLD}, gcc=True, VENV="venv")
    assert process.returncode == 1 and "Python 3.11 or newer is needed" in process.stderr


# An environment that no longer runs the code of its checkout


@pytest.fixture
def checkout(enter, tmp_path) -> Path:
    """A checkout with its environment, .venv."""
    checkout = tmp_path / "a checkout"
    (checkout / "intra_distill").mkdir(parents=True)
    (checkout / "scripts").mkdir()
    for file in ("setup.py", "scripts/environment.sh", "scripts/constraints.txt"):
        shutil.copy(ROOT / file, checkout / file)
    process = enter({"python3": NEW}, checkout=checkout)
    assert process.returncode == 0, process.stderr
    assert code_of(checkout / ".venv") == checkout / "intra_distill"
    return checkout


def code_of(venv: Path) -> Path:
    command = [venv / "bin" / "intra-distill", "user-dir"]
    return Path(subprocess.run(command, capture_output=True, text=True).stdout.strip())


def test_an_environment_that_runs_is_left_alone(enter, checkout, tmp_path):
    (tmp_path / "link").symlink_to(checkout)
    for path in (checkout, tmp_path / "link", Path("a checkout")):
        assert enter({}, checkout=path).stderr == ""


def copied(checkout: Path) -> Path:
    return shutil.copytree(checkout, checkout.with_name("copy"), symlinks=True)


def moved(checkout: Path) -> Path:
    return checkout.rename(checkout.with_name("moved"))


@pytest.mark.parametrize("displaced", [copied, moved])
@pytest.mark.parametrize("finished", [True, False])
def test_a_checkout_that_was_copied_or_moved_gets_an_environment_of_its_own(
    enter, checkout, displaced, finished
):
    if not finished:
        (checkout / ".venv" / "intra_distill.installed").write_text("")
    other = displaced(checkout)
    process = enter({"python3": NEW}, checkout=other)
    assert process.returncode == 0, process.stderr
    assert code_of(other / ".venv") == other / "intra_distill"
    assert len(calls(other / ".venv")) == 3  # what was installed elsewhere is gone
    if checkout.exists():
        assert code_of(checkout / ".venv") == checkout / "intra_distill"
    assert enter({}, checkout=other).stderr == ""


@pytest.mark.parametrize("removed", [True, False])
def test_a_python_that_was_upgraded_or_removed_is_replaced(enter, checkout, tmp_path, removed):
    if removed:
        (tmp_path / "bin" / "python3").unlink()
    process = enter(
        {"python3.13" if removed else "python3": NEW}, version="3.13", checkout=checkout
    )
    assert process.returncode == 0, process.stderr
    assert code_of(checkout / ".venv") == checkout / "intra_distill"
    assert enter({}, checkout=checkout).stderr == ""


def test_a_version_that_changes_is_installed_into_the_same_environment(enter, checkout):
    with open(checkout / "scripts" / "constraints.txt", "a") as file:
        file.write("# changed\n")
    assert enter({"python3": NEW}, checkout=checkout).returncode == 0
    assert len(calls(checkout / ".venv")) == 6  # nothing was removed first


def test_an_installation_that_fails_is_begun_again(enter, checkout):
    shutil.rmtree(checkout / ".venv")
    process = enter({"python3": NEW}, checkout=checkout, BREAK="--editable")
    assert process.returncode == 1
    assert enter({"python3": NEW}, checkout=checkout).returncode == 0
    assert code_of(checkout / ".venv") == checkout / "intra_distill"


def test_an_environment_that_was_made_by_hand_keeps_its_packages(enter, checkout):
    (checkout / ".venv" / "intra_distill.installed").unlink()
    (checkout / ".venv" / "by hand").touch()
    for variables in ({"BREAK": "--editable"}, {}):
        enter({"python3": NEW}, checkout=checkout, **variables)
    assert (checkout / ".venv" / "by hand").exists()
    assert code_of(checkout / ".venv") == checkout / "intra_distill"


def test_an_environment_of_the_users_own_that_does_not_fit_is_refused(enter, checkout, tmp_path):
    venv = checkout / ".venv"
    before = sorted(checkout.rglob("*"))
    process = enter({}, VENV=str(venv))
    assert process.returncode == 1 and process.stderr.count("\n") == 1
    assert f"VENV={venv} runs the code of {checkout}, not of {ROOT}" in process.stderr
    (tmp_path / "bin" / "python3").unlink()
    process = enter({}, checkout=checkout, VENV=str(venv))
    assert process.returncode == 1 and process.stderr.count("\n") == 1
    assert f"VENV={venv} does not run" in process.stderr
    assert sorted(checkout.rglob("*")) == before
