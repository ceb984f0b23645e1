"""Hostile files: checkpoints and scores.

A stranger's run no code and fill neither memory nor disk. Each exploit is shown to be one: without
the guard it leaves its evidence.
"""

import argparse
import ast
import builtins
import contextlib
import faulthandler
import importlib
import io
import os
import pickle
import re
import signal
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairseq
import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, utils
from omegaconf import OmegaConf

from intra_distill.checkpoints import EVALUATED, read_checkpoint
from intra_distill.criterions.self_distillation import Teacher
from intra_distill.errors import UserError
from intra_distill.tools.analysis.parameter_scores import ParameterScores, read_scores
from intra_distill.tools.averaging import average

from ..support.checkpoints import respell_numpy, rewrite_pickle


@pytest.fixture
def state(checkpoint) -> dict[str, Any]:
    """What a checkpoint of fairseq-train holds, to be changed."""
    return torch.load(checkpoint)


def scores_of(tensor: object) -> dict[str, Any]:
    """What a file of scores holds."""
    return vars(ParameterScores({"a": tensor}, "", {}, 1.0))


# Pickles


class Call:
    """Pickled, it asks for a call on loading."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple:
        return self.reduced

    def __call__(self) -> None:
        """As pickle wants it of what stands for a function."""


def from_the_module_os(name: str) -> Call:
    return Call(getattr, Call(importlib.import_module, "os"), name)


PAYLOADS = {
    "os.system": lambda path: Call(os.system, f"touch {path}"),
    "exec": lambda path: Call(builtins.exec, f"open({str(path)!r}, 'w')"),
    "eval": lambda path: Call(builtins.eval, f"open({str(path)!r}, 'w')"),
    "subprocess": lambda path: Call(subprocess.call, ["touch", str(path)]),
    "open": lambda path: Call(open, str(path), "w"),
    "getattr": lambda path: Call(from_the_module_os("system"), f"touch {path}"),
    "fairseq's eval": lambda path: Call(utils.eval_str_dict, f"open({str(path)!r}, 'w')"),
    "array": lambda path: np.array([Call(os.system, f"touch {path}")]),
    "configuration": lambda path: argparse.Namespace(data=Call(os.system, f"touch {path}")),
}


def save_tar(content: object, path: Path) -> None:
    """As the first versions of torch did."""
    pickles = {"sys_info": {}, "pickle": content, "storages": 0, "tensors": 0}
    with tarfile.open(path, "w") as tar:
        for name, value in pickles.items():
            member = tarfile.TarInfo(name)
            # torch loads the numbers of storages and tensors, and then the pickle
            dumped = pickle.dumps(value, protocol=2)
            member.size = len(dumped)
            tar.addfile(member, io.BytesIO(dumped))


def save_polyglot(content: object, path: Path) -> None:
    """A pickle by its beginning, a zip archive by its end."""
    path.write_bytes(pickle.dumps(content))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))


def save_torchscript_alike(content: object, path: Path) -> None:
    """torch takes what has constants.pkl for TorchScript."""
    torch.save(content, path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"{path.stem}/constants.pkl", pickle.dumps(content))


FORMS: dict[str, Callable[[object, Path], None]] = {
    "zip": torch.save,
    "zip, protocol 4": lambda content, path: torch.save(content, path, pickle_protocol=4),
    "before zip": lambda content, path: torch.save(
        content, path, _use_new_zipfile_serialization=False
    ),
    "tar": save_tar,
    "pickle": lambda content, path: path.write_bytes(pickle.dumps(content)),
    "polyglot": save_polyglot,
    "torchscript": save_torchscript_alike,
}


class Unguarded(pickle.Unpickler):
    def persistent_load(self, storage: object) -> torch.Tensor:
        return torch.zeros(1)


def load_unguarded(path: Path) -> None:
    """Unpickle all there is in a file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            pickles = [file.read(name) for name in file.namelist() if name.endswith(".pkl")]
        pickles.append(path.read_bytes())
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            pickles = [tar.extractfile(member).read() for member in tar]
    else:
        content = path.read_bytes()
        pickles = [content]
        with contextlib.suppress(Exception):
            torch.load(path, weights_only=False)
    for content in pickles:
        with contextlib.suppress(Exception):
            Unguarded(io.BytesIO(content)).load()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_pickle_runs(payload, form, evidence, inject, refusal, monkeypatch):
    path = evidence.with_name("evil.pt")
    exploit = PAYLOADS[payload](evidence)
    history = [{"num_updates": 1}]
    checkpoint = {"model": {}, "cfg": {}, "optimizer_history": history, "extra_state": {}}

    FORMS[form]({**checkpoint, "cfg": exploit}, path)
    inject()
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    # fairseq's commands trust a user who sets this, ours do not
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    refusal(read_checkpoint, path)
    FORMS[form]({**checkpoint, "extra_state": exploit}, path)
    refusal(read_checkpoint, path)
    FORMS[form](scores_of(exploit), path)
    refusal(read_scores, path)
    assert not evidence.exists()
    load_unguarded(path)
    assert evidence.exists()


def test_no_bytes_are_taken_for_pointers_to_objects(state, evidence, inject):
    def forged(*arguments: object) -> None:
        str(np.ndarray((1,), "O", b"\x01" * 8))

    assert signal_of_child(forged) == signal.SIGSEGV
    rebuild_array, rebuild_number = (x.__reduce__()[0] for x in (np.empty(0), np.float64(0)))
    record = np.dtype([("a", "O")])
    path = evidence.with_name("evil.pt")
    for forgery in (
        Call(np.ndarray, (1,), "O", b"\x01" * 8),
        Call(np.ndarray, (1,), record, b"\x01" * 8),
        Call(rebuild_number, np.dtype("O"), b"\x01" * 8),
        Call(rebuild_number, record, b"\x01" * 8),
        Call(rebuild_array, np.ndarray, (2**40,), b"b"),  # a terabyte
        np.array([1, None]),
        np.zeros(2, record),
    ):
        state["extra_state"]["metrics"] = forgery
        torch.save(state, path)
        while True:
            inject()
            with contextlib.suppress(UserError):
                metrics = read_checkpoint(path)["extra_state"]["metrics"]
                assert isinstance(metrics, np.ndarray) and metrics.nbytes == 0
            if not respell_numpy(path):
                break


@pytest.mark.parametrize("name", ["fromfile", "frombuffer", "dtype", "sys.modules"])
def test_nothing_else_of_numpys_module_is_called(name, state, evidence, refusal):
    """Under neither of its names."""
    state["extra_state"]["metrics"] = np.zeros(1)
    torch.save(state, evidence)
    assert rewrite_pickle(evidence, b"multiarray\n_reconstruct\n", f"multiarray\n{name}\n".encode())
    for respell in (respell_numpy, lambda path: None):
        refused = refusal(read_checkpoint, evidence)
        assert re.search(rf"could run code \(numpy\._?core\.multiarray\.{name}\)", refused)
        respell(evidence)


def signal_of_child(function: Callable[[], object]) -> int:
    """The signal that a fork of this process dies by when it calls a function."""
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        function()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


# Configurations, which fairseq evaluates in part


CALL = "open({path!r}, 'w')"
EXPRESSIONS = [
    CALL,
    f" \t{CALL}",
    f"[{CALL}]",
    f"[0 for _ in [{CALL}]]",
    f"(x := {CALL})",
    f'f"""{{{CALL}}}"""',
    f"(lambda: {CALL})()",
    f"{{'a': {CALL}}}",
    f"True if {CALL} else False",
    "__import__('os').system('touch {path}')",
    "[c for c in ().__class__.__base__.__subclasses__()] and " + CALL,
    CALL.replace("(", "\\\n("),
    CALL.replace("open", "ｏｐｅｎ"),
]


def as_namespace(model: dict[str, Any]) -> argparse.Namespace:
    return argparse.Namespace(**model)


@pytest.mark.parametrize("hold", [dict, OmegaConf.create, as_namespace])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_configuration_is_evaluated(expression, hold, state, evidence, refusal):
    code = expression.replace("{path!r}", repr(str(evidence))).replace("{path}", str(evidence))
    path = evidence.with_name("evil.pt")
    lstm = {"_name": "lstm", "arch": "lstm", "decoder_attention": code}
    args = argparse.Namespace(**vars(state["cfg"]["model"]) | lstm)
    held = [{"cfg": {**state["cfg"], "model": hold(lstm)}}]
    if hold is dict:  # fairseq takes a third of a second for it
        held.append({"cfg": None, "args": args})
    for each in held:
        torch.save({**state, **each}, path)
        for call in (
            (read_checkpoint, path),
            (checkpoint_utils.load_model_ensemble, [str(path)]),
            (Teacher, str(path), None),
        ):
            assert "could run code" in refusal(*call)
        assert not evidence.exists()
    with contextlib.suppress(Exception):
        utils.eval_bool(code)  # what fairseq does with it
    assert evidence.exists()


def test_an_unguarded_fairseq_does_evaluate_it(state, evidence, monkeypatch):
    code = CALL.replace("{path!r}", repr(str(evidence)))
    state["cfg"]["model"] = {"_name": "lstm", "decoder_attention": code}
    torch.save(state, evidence.with_name("evil.pt"))
    load = checkpoint_utils.load_checkpoint_to_cpu
    monkeypatch.setattr(checkpoint_utils, "load_checkpoint_to_cpu", load.__wrapped__)
    with contextlib.suppress(Exception):
        checkpoint_utils.load_model_ensemble([str(evidence.with_name("evil.pt"))])
    assert evidence.exists()


@pytest.mark.parametrize("hold", [dict, as_namespace])
def test_a_name_like_a_call_is_no_code_where_fairseq_does_not_evaluate_it(hold, state, evidence):
    name = "log (1)"
    state["cfg"]["task"] = {"data": f"{name}/bin", "left_pad_source": "True"}
    state["cfg"]["common"] |= {"log_file": f"{name}.txt", "wandb_project": "de-en (v2)"}
    model = vars(state["cfg"]["model"]) | {"encoder_embed_path": name, "log_file": "f(x)"}
    state["cfg"]["model"] = hold(model)
    path = evidence.with_name("checkpoint.pt")
    torch.save(state, path)
    read_checkpoint(path)
    checkpoint_utils.load_checkpoint_to_cpu(str(path))


EVALUATE = {"eval", "eval_bool", "eval_str_list", "eval_str_dict"}


def test_all_that_fairseq_evaluates_is_known():
    """Each configured value that a module of fairseq gives to eval is looked at before."""
    evaluated = set()
    for path in Path(fairseq.__file__).parent.rglob("*.py"):
        if "examples" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            function = getattr(node, "func", None)
            name = getattr(function, "id", getattr(function, "attr", ""))
            if name in EVALUATE and not (name == "eval" and isinstance(function, ast.Attribute)):
                argument = node.args[0]
                if isinstance(argument, ast.Attribute):
                    evaluated.add(argument.attr)
                elif isinstance(argument, ast.Call):  # getattr(args, NAME, …)
                    evaluated |= {each.value for each in argument.args if hasattr(each, "value")}
                elif isinstance(argument, ast.Name):
                    evaluated.add(argument.id)
    assert {"decoder_attention", "conv_feature_layers"} <= evaluated
    # of the command line alone: what is parsed there, an option of fairseq-generate, and a file
    evaluated -= {"x", "uf", "v", "line", "model_overrides"}
    assert evaluated <= EVALUATED | {"self", "args", "{}"}


def test_what_is_made_of_parts_or_rebinds_is_refused_as_well(state, evidence, refusal):
    loop: list[Any] = []
    loop.append(loop)
    for hostile in (
        "${a}${b}",
        "${oc.env:HOME}",
        "[0 for os.path.exists in [os.system]]",
        b"open('x', 'w')",
        {"deep": [("x()",)]},
        [loop, "x()"],
        "[" * 90 + "x()" + "]" * 90,
        "-" * 100_000 + "1",
        torch.zeros(1),
    ):
        state["cfg"]["model"] = {"_name": "lstm", "decoder_attention": hostile}
        torch.save(state, evidence)
        assert "is refused: its configuration" in refusal(read_checkpoint, evidence)


@pytest.mark.parametrize(
    "harmless", ["[(512, 3)] * 4", "True", "(0.9, 0.98)", "/a (1)/b", "{'beam': 1}", "a.b/c-d", "("]
)
def test_what_fairseq_means_to_evaluate_is_read(harmless, state, tmp_path):
    state["cfg"]["model"].encoder_layers_to_keep = harmless
    torch.save(state, tmp_path / "x.pt")
    assert read_checkpoint(tmp_path / "x.pt")["cfg"] == state["cfg"]


def test_a_user_dir_that_a_checkpoint_names_is_not_imported(state, evidence, inject):
    module = evidence.with_name("stranger_module")
    module.mkdir()
    (module / "__init__.py").write_text(f"open({str(evidence)!r}, 'w')")
    state["cfg"]["common"]["user_dir"] = state["cfg"]["model"].user_dir = str(module)
    torch.save(state, evidence.with_name("evil.pt"))
    read_checkpoint(evidence.with_name("evil.pt"))
    checkpoint_utils.load_model_ensemble([str(evidence.with_name("evil.pt"))])
    assert not evidence.exists()
    inject()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(evidence.parent))
        utils.import_user_module(argparse.Namespace(user_dir=str(module)))
    assert evidence.exists()


# Files that are larger than they look


def test_a_checkpoint_that_unpacks_to_more_is_refused(checkpoint, tmp_path, refusal):
    bomb = tmp_path / "bomb.pt"
    with (
        zipfile.ZipFile(checkpoint) as members,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for member in members.namelist():
            file.writestr(member, members.read(member))
        file.writestr("checkpoint_last/data/999", bytes(2**25))
    assert bomb.stat().st_size < 2**20
    for read in (read_checkpoint, read_scores):
        assert "unpacked it would have" in refusal(read, bomb)


@pytest.mark.parametrize("size", [2, 2**20, 2**40])
def test_one_number_that_stands_for_many_is_refused(size, state, tmp_path, refusal):
    path = tmp_path / "swollen.pt"
    swollen = torch.zeros(1).expand(size)
    state["model"]["encoder.embed_tokens.weight"] = swollen
    torch.save(state, path)
    assert path.stat().st_size < 2**20
    assert "larger than the file" in refusal(average, [path])
    torch.save(scores_of(swollen), path)
    assert "larger than the file" in refusal(read_scores, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"tensors": {1: torch.zeros(1)}},
        {"tensors": {"a": "\x1b[2J"}},
        {"tensors": {"a": torch.zeros(2).to_sparse()}},
        {"checkpoint_sha256": 1},
        {"options": []},
        {"loss": "\x1b[2J"},
        {"other": 1},
    ],
)
def test_scores_of_other_types_are_refused(changes, tmp_path, refusal):
    torch.save({**scores_of(torch.zeros(1)), **changes}, tmp_path / "x.pt")
    refusal(read_scores, tmp_path / "x.pt")
