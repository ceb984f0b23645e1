"""Hostile files.

Checkpoints, scores, results, archives and servers of a stranger run no code, write nowhere outside
their folder and do not fill the disk. Each exploit is shown to be one: without the guard it leaves
its evidence.
"""

import argparse
import ast
import builtins
import contextlib
import faulthandler
import gzip
import importlib
import io
import json
import os
import pickle
import signal
import socketserver
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fairseq
import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, utils
from omegaconf import OmegaConf

from intra_distill.checkpoints import EVALUATED, read_checkpoint
from intra_distill.cli import main
from intra_distill.criterions.self_distillation import Teacher
from intra_distill.errors import UserError, one_line
from intra_distill.files import sha256, write_json
from intra_distill.tools.analysis.parameter_scores import Scores, read_scores
from intra_distill.tools.averaging import average
from intra_distill.tools.corpora import archive, download
from intra_distill.tools.corpora.download import Remote, fetch

from ..support.archives import entry, tgz, write_archive
from ..tools.test_evaluate import prepared, train_model  # noqa: F401
from ..tools.test_grid import make_result


@pytest.fixture(scope="module")
def checkpoint(prepared, tmp_path_factory) -> Path:  # noqa: F811
    return train_model(prepared, tmp_path_factory.mktemp("run"), 1, "--task", "translation")


@pytest.fixture
def state(checkpoint) -> dict[str, Any]:
    """What a checkpoint of fairseq-train holds, to be changed."""
    return torch.load(checkpoint)


@pytest.fixture
def evidence(tmp_path) -> Path:
    """The file that an exploit makes where it succeeds."""
    return tmp_path / "evidence"


def refusal(function: Callable[..., object], *arguments: object) -> str:
    """The one line, harmless to a terminal, that a call ends with."""
    with pytest.raises((UserError, SystemExit)) as error:
        function(*arguments)
    message = str(error.value)
    assert message == one_line(message) and len(message) > 1
    return message


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
def test_no_pickle_runs(payload, form, evidence, inject, monkeypatch):
    path = evidence.with_name("evil.pt")
    exploit = PAYLOADS[payload](evidence)
    history = [{"num_updates": 1}]
    checkpoint = {"model": {}, "cfg": {}, "optimizer_history": history, "extra_state": {}}

    FORMS[form]({**checkpoint, "cfg": exploit}, path)
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    # fairseq's commands trust a user who sets this, ours do not
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    refusal(read_checkpoint, path)
    FORMS[form]({**checkpoint, "extra_state": exploit}, path)
    refusal(read_checkpoint, path)
    FORMS[form](vars(Scores({"a": exploit}, "", {}, 1.0)), path)
    refusal(read_scores, path)
    assert not evidence.exists()
    inject(4)
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
        inject()
        try:
            metrics = read_checkpoint(path)["extra_state"]["metrics"]
        except UserError:
            continue
        assert isinstance(metrics, np.ndarray) and metrics.nbytes == 0


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
def test_no_configuration_is_evaluated(expression, hold, state, evidence, inject):
    code = expression.replace("{path!r}", repr(str(evidence))).replace("{path}", str(evidence))
    path = evidence.with_name("evil.pt")
    lstm = {"_name": "lstm", "arch": "lstm", "decoder_attention": code}
    args = argparse.Namespace(**vars(state["cfg"]["model"]) | lstm)
    held = [{"cfg": {**state["cfg"], "model": hold(lstm)}}]
    if hold is dict:  # fairseq takes a third of a second for it
        held.append({"cfg": None, "args": args})
    for each in held:
        torch.save({**state, **each}, path)
        assert "could run code" in refusal(read_checkpoint, path)
        assert "could run code" in refusal(checkpoint_utils.load_model_ensemble, [str(path)])
        assert "could run code" in refusal(Teacher, str(path), None)
        assert not evidence.exists()
        inject()
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


def test_what_is_made_of_parts_or_rebinds_is_refused_as_well(state, evidence, inject):
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
        inject()


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


def test_a_checkpoint_that_unpacks_to_more_is_refused(checkpoint, tmp_path, inject):
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
        inject()


@pytest.mark.parametrize("size", [2, 2**20, 2**40])
def test_one_number_that_stands_for_many_is_refused(size, state, tmp_path, inject):
    path = tmp_path / "swollen.pt"
    swollen = torch.zeros(1).expand(size)
    state["model"]["encoder.embed_tokens.weight"] = swollen
    torch.save(state, path)
    assert path.stat().st_size < 2**20
    assert "larger than the file" in refusal(average, [path])
    torch.save(vars(Scores({"a": swollen}, "", {}, 1.0)), path)
    assert "larger than the file" in refusal(read_scores, path)
    inject(2)


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
def test_scores_of_other_types_are_refused(changes, tmp_path, inject):
    torch.save({**vars(Scores({"a": torch.zeros(1)}, "", {}, 1.0)), **changes}, tmp_path / "x.pt")
    refusal(read_scores, tmp_path / "x.pt")
    inject()


# Results


HOSTILE_TEXT = ["\x1b]0;owned\x07", "a\nb", "a\r| b |", "a\x00", "a\u202eb", "\x9b2J", 1, None, []]
HOSTILE_FIELDS = [
    *({"system": text} for text in HOSTILE_TEXT),
    *({"signatures": {"BLEU": text, "chrF": "x"}} for text in HOSTILE_TEXT),
    *({"scores": {"BLEU": x, "chrF": 1.0}} for x in (float("nan"), float("inf"), "1", True, None)),
    {"scores": {"BLEU": 10**400, "chrF": 1.0}},
    {"scores": {}, "signatures": {}},
    {"scores": {"BLEU": 1.0}},
    {"beam": 5.0},
    {"lenpen": float("-inf")},
    {"hypotheses": "../../../etc/passwd"},
    {"hypotheses": "/etc/passwd"},
    {"hypotheses": ""},
    {"significance": {"tests": {"BLEU": {"p_value": "\x1b[2J"}, "chrF": {"p_value": 1}}}},
    {"significance": {"tests": {"BLEU": {}}}},
    {"significance": {"tests": {}}},
    {"significance": []},
    {"test_set": None},
    {"versions": {"\x1b": ""}},
    {"unknown": 1},
]


@pytest.mark.parametrize("changes", HOSTILE_FIELDS, ids=ascii)
def test_a_result_of_other_types_is_refused(changes, tmp_path, inject, capsys):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**asdict(make_result()), **changes}))
    assert "is not a result of intra-distill evaluate" in refusal(main, ["table", str(path)])
    assert capsys.readouterr().out == ""
    inject()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "\x1b[2J", '"\\ud800"', "\xff" * 9, "null"],
    ids=range(7),
)
def test_other_json_is_refused(text, tmp_path, inject):
    (tmp_path / "test.json").write_bytes(text.encode("latin-1"))
    refusal(main, ["table", str(tmp_path)])
    inject()


def test_what_never_ends_is_not_read(tmp_path, inject):
    os.mkfifo(tmp_path / "test.json")
    refusal(main, ["table", str(tmp_path)])
    (tmp_path / "test.json").unlink()
    (tmp_path / "test.json").symlink_to("/dev/zero")
    refusal(main, ["table", str(tmp_path)])
    inject(2)


def test_markup_in_a_name_stays_text(tmp_path, inject, capsys):
    name = "<script>alert(1)</script>|<img src=x>"
    write_json(tmp_path / "test.json", asdict(make_result(name)))
    main(["table", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "<" not in shown and r"&lt;/script&gt;\|&lt;img" in shown
    inject()


@pytest.mark.parametrize(
    "options",
    [
        {"source_lang": "../de", "target_lang": "en"},
        {"source_lang": "de", "target_lang": "en/../../evil"},
        {"source_lang": "de", "target_lang": ["\x1b[2J"]},
        {"source_lang": "\x1b[2J", "target_lang": "en"},
        {},
        [],
        "[" * 100_000,
    ],
    ids=range(7),
)
def test_a_data_directory_with_hostile_options_is_refused(
    options,
    prepared,  # noqa: F811
    checkpoint,
    tmp_path,
    inject,
):
    data = tmp_path / "data"
    data.mkdir()
    for file in prepared.iterdir():
        (data / file.name).symlink_to(file)
    (data / "prepare.json").unlink()
    text = options if isinstance(options, str) else json.dumps({"options": options})
    (data / "prepare.json").write_text(text)
    results = tmp_path / "results"
    command = ["evaluate", str(data), "--path", str(checkpoint), "--results-path", str(results)]
    refusal(main, [*command, "--cpu"])
    assert not results.exists()
    inject()


# Archives


MEMBER = "de-en/train.tags.de-en.en"


def members_outside(evidence: Path) -> dict[str, list[tarfile.TarInfo]]:
    """Archives, each of which a trusting program writes the evidence for from where it unpacks."""
    outside = {"linkname": str(evidence.parent)}
    return {
        "parent": [entry(f"../{evidence.name}", size=9)],
        "parent below": [
            entry("de-en", tarfile.DIRTYPE, mode=0o755),
            entry(f"de-en/../../{evidence.name}", size=9),
        ],
        "absolute": [entry(str(evidence), size=9)],
        "link, then through it": [
            entry("de-en", tarfile.SYMTYPE, **outside),
            entry(f"de-en/{evidence.name}", size=9),
        ],
        "relative link": [
            entry("de-en", tarfile.SYMTYPE, linkname=".."),
            entry(f"de-en/{evidence.name}", size=9),
        ],
        "link in place of a file": [
            entry(MEMBER, tarfile.SYMTYPE, linkname=str(evidence)),
            entry(MEMBER, size=9),
        ],
    }


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize("name", members_outside(Path("/x")))
@pytest.mark.parametrize("nested", [False, True])
def test_no_member_is_written_outside(name, nested, evidence, tmp_path, inject):
    path = write_archive(tmp_path / "de-en.tgz", *members_outside(evidence)[name])
    trusting = tmp_path / "trusting"
    trusting.mkdir()
    with tarfile.open(path) as tar, contextlib.suppress(OSError):
        for member in tar:  # one by one, as `tar -x` does
            if member.name == MEMBER and (trusting / MEMBER).is_symlink():
                (trusting / MEMBER).write_bytes(b"through")
            else:
                tar.extract(member, trusting, filter="fully_trusted")
    assert evidence.exists()
    evidence.unlink()
    if nested:
        path.write_bytes(tgz({"2014-01/texts/de/en/de-en.tgz": path.read_bytes()}))
    before = contents(tmp_path)
    refusal(unpack_iwslt14, path, tmp_path / "raw")
    assert contents(tmp_path) == before
    inject()


def unpack_iwslt14(path: Path | str, destdir: Path) -> None:
    main(["iwslt14", "--pair", "de-en", "--source", str(path), "--destdir", str(destdir)])


@pytest.mark.parametrize(
    "member",
    [
        entry(MEMBER, tarfile.LNKTYPE, linkname="../../secret"),
        entry(MEMBER, tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry(MEMBER, tarfile.FIFOTYPE),
        entry(MEMBER, tarfile.CHRTYPE, devmajor=1, devminor=5),
        entry(MEMBER, size=2**31, pax_headers={"size": str(2**60)}),
        entry("x\n\x1b[2J/../../y", size=9),
        entry("x", pax_headers={"path": "/\x1b[2J"}, size=9),
        entry("x", pax_headers={"path": f"{MEMBER}\0.."}, size=9),
    ],
    ids=range(8),
)
def test_links_devices_and_odd_names_are_refused(member, tmp_path, inject):
    path = tmp_path / "de-en.tgz"
    if member.size < 2**20:
        write_archive(path, member)
    else:
        path.write_bytes(gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(2**16)))
    before = contents(tmp_path)
    refusal(unpack_iwslt14, path, tmp_path / "raw")
    assert contents(tmp_path) == before
    inject()


def bombs() -> dict[str, bytes]:
    """Archives of some kilobytes with megabytes in them, and what stands for their limit here."""
    zeros = bytes(2**23)
    nested = tgz({"2014-01/texts/de/en/de-en.tgz": tgz({MEMBER: zeros})})
    sparse = entry(MEMBER, size=512, pax_headers={"GNU.sparse.map": f"{2**40},512"})
    sparse.pax_headers |= {"GNU.sparse.size": str(2**40), "GNU.sparse.numblocks": "1"}
    return {
        "a member": tgz({MEMBER: zeros}),
        "many members": tgz({f"de-en/{n}": bytes(2**16) for n in range(200)}),
        "an archive in it": nested,
        "behind the end": gzip.compress(gzip.decompress(tgz({MEMBER: b"x"})) + zeros),
        "many gzip members": tgz({MEMBER: b"x"}) + gzip.compress(zeros) * 2,
        "sparse": gzip.compress(sparse.tobuf(tarfile.PAX_FORMAT) + bytes(2**16)),
    }


@pytest.mark.parametrize("name", bombs())
def test_no_bomb_fills_the_disk(name, tmp_path, inject, monkeypatch):
    bound = 2**22
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", bound)
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", bound)
    path = tmp_path / "de-en.tgz"
    path.write_bytes(bombs()[name])
    assert path.stat().st_size < 2**18
    before = contents(tmp_path)
    assert "absurd size" in refusal(unpack_iwslt14, path, tmp_path / "raw")
    assert contents(tmp_path) == before
    inject()


# Servers


@contextlib.contextmanager
def server_that_says(*parts: bytes) -> Iterator[str]:
    """A server's address; it answers every request so, the last part for ever if it is ``...``."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self.rfile.readline().strip():
                    pass
                for part in parts[:-1]:
                    self.wfile.write(part)
                while parts[-1] and not stopped.is_set():
                    self.wfile.write(parts[-1])

    stopped = threading.Event()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.tgz"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
ZEROS = bytes(2**16)
ANSWERS = {
    "an endless body": (OK, b"\r\n", ZEROS),
    "endless chunks": (OK, b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + ZEROS + b"\r\n"),
    "an absurd length": (OK, b"Content-Length: 99999999999999\r\n\r\n", ZEROS),
    "a longer body than said": (OK, b"Content-Length: 9\r\n\r\n", ZEROS),
    "a shorter body than said": (OK, b"Content-Length: 9\r\n\r\nabc", b""),
    "a negative length": (OK, b"Content-Length: -1\r\n\r\n", ZEROS),
    "endless headers": (OK, b"X: y\r\n"),
    "an endless header": (OK, ZEROS.replace(b"\0", b"x")),
    "no HTTP": (b"\x1b[2J", ZEROS),
    "a loop": (MOVED, b"/a.tgz\r\n\r\n", b""),
    "a local file": (MOVED, b"file:///etc/passwd\r\n\r\n", b""),
    "a terminal's commands": (b"HTTP/1.1 404 \x1b[2J\r\n\r\n", b""),
    "commands in an address": (MOVED, b"data:\x1b[2J\r\n\r\n", b""),
    "a range not asked for": (
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde",
        b"",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("known", [False, True])
def test_no_server_fills_the_disk_or_steers(answer, known, tmp_path, inject, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(download, "MAX_BYTES", 2**20)
    (tmp_path / "other").write_bytes(b"mine")
    downloads = tmp_path / "downloads"
    with server_that_says(*ANSWERS[answer]) as url:
        remote = Remote(url, *((2**20, "0") if known else ()))
        if answer == "a longer body than said" and not known:
            assert fetch(remote, downloads, "").read_bytes() == bytes(9)
        else:
            refusal(fetch, remote, downloads, "do something else")
            assert not (downloads / "a.tgz").exists()
    assert sum(path.stat().st_size for path in downloads.iterdir()) < 2**18
    assert (tmp_path / "other").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"other", "downloads"}
    inject()


def test_what_a_server_sends_is_unpacked_as_a_strangers(evidence, tmp_path, inject, monkeypatch):
    evil = write_archive(
        tmp_path / "evil.tgz", entry(f"../../{evidence.name}", size=9)
    ).read_bytes()
    with server_that_says(OK, b"Content-Length: %d\r\n\r\n" % len(evil), evil, b"") as url:
        refusal(unpack_iwslt14, url, tmp_path / "raw")
    assert not evidence.exists() and not list((tmp_path / "raw").rglob("a.tgz*"))
    inject()


def test_a_hypothesis_file_is_read_as_text(tmp_path, inject):
    """sha256 of what a result names is all that is done with it, unless it is the right file."""
    hypotheses = tmp_path / "test.hyp.en"
    hypotheses.symlink_to("/dev/zero")
    result = make_result(hypotheses=hypotheses.name)
    other = replace(make_result("other"), hypotheses_sha256=sha256("/dev/null"))
    for number, each in enumerate((result, other)):
        (tmp_path / str(number)).mkdir()
        write_json(tmp_path / str(number) / "test.json", asdict(each))
    main(["table", str(tmp_path)])
    inject()
