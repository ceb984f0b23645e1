"""Who imports whom in the package, and where things stand: the rules of the layout, held."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

import intra_distill

PACKAGE = Path(intra_distill.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
REGISTERED = ["criterions/", "tasks/", "models/", "optim/"]  # what fairseq finds by name
# each folder or file of tools imports those before it alone
ORDER = [
    ["config.py", "options.py", "languages.py", "moses.py", "directory.py", "averaging.py"],
    ["prepared.py", "labelled.py", "questions.py"],
    ["corpora/"],
    ["scoring/"],
    ["preparation/"],
    ["reports/"],
    ["analysis/"],
    ["deployment/"],
]
# the files with this beginning → what they may import of the package, by the same kind of beginning
MAY_IMPORT = {
    "errors.py": [],
    "files.py": ["errors.py"],
    "core/": ["core/"],
    **{folder: ["core/", *REGISTERED, "errors.py", "checkpoints.py"] for folder in REGISTERED},
    "cli/": ["core/", "errors.py", "files.py", "checkpoints.py", "tools/"],
}
MAY_IMPORT |= {
    f"tools/{name}": [
        *["__init__.py", "core/", *REGISTERED, "errors.py", "files.py", "checkpoints.py"],
        *(f"tools/{each}" for names in ORDER[: place + 1] for each in names),
    ]
    for place, names in enumerate(ORDER)
    for name in names
}


def imports(file: str) -> Iterator[str]:
    """The modules that a file imports, or imports from, anywhere in it, by their full names."""
    package = ".".join(["intra_distill", *Path(file).parent.parts])
    for node in ast.walk(ast.parse(FILES[file].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            modules = [f"{origin}.{alias.name}" for alias in node.names]
            yield from (name if as_file(name) else origin for name in modules)


def as_file(module: str) -> str | None:
    """The file of the package that a module is, if it is one."""
    path = module.removeprefix("intra_distill").removeprefix(".").replace(".", "/")
    candidates = [f"{path}.py", f"{path}/__init__.py".lstrip("/")]
    return next((file for file in candidates if file in FILES), None)


@pytest.mark.parametrize("beginning", MAY_IMPORT)
def test_imports_go_downward(beginning):
    for file in (file for file in FILES if file.startswith(beginning)):
        imported = {as_file(module) for module in imports(file)} - {None}
        allowed = tuple(MAY_IMPORT[beginning])
        assert not [each for each in imported if not each.startswith(allowed)], file


def test_every_file_of_tools_has_its_place_in_the_order():
    names = tuple(f"tools/{name}" for name in ["__init__.py", *sum(ORDER, [])])
    assert not [file for file in FILES if file.startswith("tools/") and not file.startswith(names)]


def test_core_is_torch_alone():
    roots = {module.split(".")[0] for f in FILES if f.startswith("core/") for module in imports(f)}
    assert roots - sys.stdlib_module_names <= {"intra_distill", "numpy", "torch", "triton"}


def test_one_file_knows_bleu():
    """A metric is an entry of the registry, whose name the rest of the package does not know."""
    assert [f for f, path in FILES.items() if '"BLEU"' in path.read_text(encoding="utf-8")] == [
        "tools/scoring/metrics.py"
    ]


def test_every_file_says_what_it_is():
    trees = {file: ast.parse(path.read_text(encoding="utf-8")) for file, path in FILES.items()}
    assert not [file for file, tree in trees.items() if not ast.get_docstring(tree)]


def test_the_readme_is_short():
    readme = PACKAGE.parent / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 200


def test_commands_that_do_without_fairseq_do_not_import_it():
    modules = [
        f"intra_distill.cli.{name.replace('-', '_')}"
        for name in intra_distill.COMMANDS_WITHOUT_FAIRSEQ
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {', '.join(modules)}; print('fairseq' in sys.modules)",
        ],
        env={**os.environ, intra_distill.WITHOUT_FAIRSEQ: "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr
