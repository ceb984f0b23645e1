"""The script that makes the environment: which Python it takes, and what it needs for it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ["bash", "cat", "chmod", "dirname", "mkdir", "sha256sum", "touch"]
# stands for a Python: tells its version, and makes an environment of stubs that note their calls
PYTHON = """
#!/usr/bin/env bash
case "$1" in
    -c) exit {too_old} ;;
    -) exit {no_wheel} ;;
    -m)
        mkdir -p "$3/bin"
        for name in pip python intra-distill; do
            printf '%s\\n' '#!/usr/bin/env bash' "echo {name} $name \\"\\$@\\" >>'$3/calls'" \\
                "[[ $name != python ]]" >"$3/bin/$name"
            chmod +x "$3/bin/$name"
        done ;;
esac
""".lstrip()


@pytest.fixture
def enter(tmp_path):
    """Pythons by name, as (too old, without a wheel), → the process that makes an environment."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in (*TOOLS, "env"):
        (bin_folder / tool).symlink_to(shutil.which(tool))

    def enter(pythons: dict[str, tuple[int, int]], gcc: bool = False, **variables: str):
        for name, (too_old, no_wheel) in pythons.items():
            path = bin_folder / name
            path.write_text(PYTHON.format(name=name, too_old=too_old, no_wheel=no_wheel))
            path.chmod(0o755)
        if gcc:
            (bin_folder / "gcc").symlink_to(shutil.which("true"))
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail; source {ROOT}/scripts/environment.sh"],
            env={"PATH": str(bin_folder), "VENV": str(tmp_path / "venv"), **variables},
            capture_output=True,
            text=True,
        )

    return enter


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "venv" / "calls").read_text().splitlines()


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
    process = enter(pythons, gcc=True, **variables)
    assert process.returncode == 0, process.stderr
    lines = calls(tmp_path)
    assert {line.split()[0] for line in lines} == {chosen}
    assert lines[0].startswith(f"{chosen} pip install") and lines[0].endswith(" torch")
    assert lines[-1] == f"{chosen} pip uninstall --yes torchaudio"  # which it cannot import


def test_a_compiler_is_wanted_only_where_something_is_built(enter, tmp_path):
    assert enter({"python3.12": NEW}).returncode == 0
    shutil.rmtree(tmp_path / "venv")
    process = enter({"python3.12": OLD, "python3": BUILT})
    assert process.returncode == 1 and "gcc is needed" in process.stderr
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_refused(enter):
    process = enter({"python3": OLD}, gcc=True)
    assert process.returncode == 1 and "Python 3.11 or newer is needed" in process.stderr
