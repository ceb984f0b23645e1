"""Hugging Face's files of a BERT become a checkpoint that fairseq starts from."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from intra_distill.checkpoints import read_checkpoint
from intra_distill.errors import UserError
from intra_distill.tools.config import config_arguments
from intra_distill.tools.preparation import bert
from intra_distill.tools.preparation.bert import make_bert

from ...support.bert import PIECES, write_hugging_face
from ...support.payload import Payload
from ...support.server import serve


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder with config.json, model.safetensors and vocab.txt."""
    return write_hugging_face(tmp_path_factory.mktemp("published") / "bert")


@pytest.fixture
def source(published, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(published, tmp_path / "source"))


@pytest.fixture
def convert(tmp_path):
    """A folder of files → the checkpoint's parameters."""

    def convert(source, name="made"):
        make_bert(tmp_path / name, str(source), tmp_path / "downloads")
        return read_checkpoint(tmp_path / name / "model.pt")["model"]

    return convert


def test_what_the_directory_holds(published, convert, tmp_path):
    model = convert(published)
    made = tmp_path / "made"
    assert {path.name for path in made.iterdir()} == {
        *("model.pt", "model.yaml", "dict.txt", "vocab.txt", "bert.json")
    }
    assert (made / "vocab.txt").read_text() == (published / "vocab.txt").read_text()
    pieces = [line.split()[0] for line in (made / "dict.txt").read_text().splitlines()]
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert pieces == [piece for piece in PIECES if piece not in special]
    report = json.loads((made / "bert.json").read_text())
    assert report["lowercase"] is True
    assert set(report["files"]) == {"config.json", "vocab.txt", "model.safetensors"}
    assert (
        config_arguments(made / "model.yaml")
        == (
            "--arch bert --encoder-layers 2 --encoder-embed-dim 32 --encoder-ffn-embed-dim 48 "
            "--encoder-attention-heads 2 --max-positions 64"
        ).split()
    )
    theirs = load_file(published / "model.safetensors")
    embeddings = theirs["embeddings.word_embeddings.weight"]
    rows = [PIECES.index(piece) for piece in ("[CLS]", "[PAD]", "[SEP]", "[UNK]", pieces[0])]
    assert torch.equal(model["encoder.embed_tokens.weight"][:5], embeddings[rows])
    assert torch.equal(model["encoder.embed_tokens.weight"][-1], embeddings[PIECES.index("[MASK]")])
    assert not make_bert(made, None, tmp_path / "downloads")  # finished


@pytest.mark.parametrize("form", ["bin", "legacy bin", "2018"])
def test_every_published_form_gives_the_same_parameters(published, source, convert, form):
    tensors = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    if form == "2018":  # with the heads of the pretraining, and the first names of LayerNorm's
        tensors = {f"bert.{name}": tensor for name, tensor in tensors.items()}
        tensors = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): tensor
            for name, tensor in tensors.items()
        }
        tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]
        tensors["cls.predictions.bias"] = torch.zeros(len(PIECES))
        tensors["cls.seq_relationship.weight"] = torch.zeros(2, 32)
    torch.save(
        tensors,
        source / "pytorch_model.bin",
        _use_new_zipfile_serialization=form != "legacy bin",
    )
    ours, expected = convert(source), convert(published, "expected")
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(ours[name], tensor), name


def test_files_are_fetched_from_below_a_url(published, source, convert, tmp_path):
    (source / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with serve(source) as server:
        fetched = convert(server.url)
    expected = convert(published, "expected")
    assert all(torch.equal(fetched[name], expected[name]) for name in expected)
    assert json.loads((tmp_path / "made" / "bert.json").read_text())["lowercase"] is False


def test_bert_base_uncased_is_known_by_its_sums(published, source, monkeypatch, tmp_path):
    (source / "tokenizer_config.json").write_text("{}")
    with serve(source) as server:
        monkeypatch.setattr(bert, "BASE", server.url)
        with pytest.raises(UserError, match="not 231,508"):
            make_bert(tmp_path / "made", None, tmp_path / "downloads")
    assert not (tmp_path / "made").exists()


def edit_config(source: Path, **changes) -> None:
    path = source / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(source: Path, change) -> None:
    tensors = load_file(source / "model.safetensors")
    change(tensors)
    save_file(tensors, source / "model.safetensors")


def edit_pieces(source: Path, change) -> None:
    (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in change(list(PIECES))))


def pickled(source: Path, content) -> None:
    (source / "model.safetensors").unlink()
    torch.save(content, source / "pytorch_model.bin")


POOLER = "pooler.dense.weight"
REFUSED = {
    "roberta": (lambda s: edit_config(s, model_type="roberta"), "its model_type is 'roberta'"),
    "relu": (lambda s: edit_config(s, hidden_act="relu"), "its hidden_act is 'relu', not 'gelu'"),
    "another epsilon": (lambda s: edit_config(s, layer_norm_eps=1e-5), "its layer_norm_eps is 1e-"),
    "no sizes": (lambda s: edit_config(s, hidden_size=None), "its hidden_size is None"),
    "a size of words": (lambda s: edit_config(s, hidden_size="32"), "its hidden_size is '32'"),
    "no JSON": (lambda s: (s / "config.json").write_text("{"), "config.json is no JSON file"),
    "a list": (lambda s: (s / "config.json").write_text("[]"), "config.json is no configuration"),
    "no config": (lambda s: (s / "config.json").unlink(), "cannot read .*config.json"),
    "more layers": (lambda s: edit_config(s, num_hidden_layers=3), "not all of them: no encoder"),
    "other sizes": (
        lambda s: edit_config(s, intermediate_size=64),
        r"fc1.weight is \[48, 32\] in the weights, but \[64, 32\] by config.json",
    ),
    "heads": (lambda s: edit_config(s, num_attention_heads=3), "must divide"),
    "no pooler": (lambda s: edit_weights(s, lambda t: t.pop(POOLER)), "no encoder.pooler.weight"),
    "half a file": (
        lambda s: (s / "model.safetensors").write_bytes(
            (s / "model.safetensors").read_bytes()[:5000]
        ),
        "model.safetensors is no safetensors file, or only a part of one",
    ),
    "no weights": (lambda s: (s / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "a list of weights": (lambda s: pickled(s, [1]), "holds no weights"),
    "numbers for weights": (lambda s: pickled(s, {"a": 1}), "its a is no plain tensor"),
    "another vocabulary": (lambda s: edit_pieces(s, lambda p: p[:-1]), "embed_tokens.weight is"),
    "no [CLS]": (
        lambda s: edit_pieces(s, lambda p: ["x" if piece == "[CLS]" else piece for piece in p]),
        r"vocab.txt has no \[CLS\]",
    ),
    "a piece twice": (lambda s: edit_pieces(s, lambda p: [*p, "tree"]), "'tree' is in line"),
    "an empty piece": (lambda s: edit_pieces(s, lambda p: [*p, ""]), "'' is not a word"),
    "a symbol of fairseq's": (
        lambda s: edit_pieces(s, lambda p: [*p, "</s>"]),
        "'</s>' is fairseq's",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_not_berts_are_refused(source, tmp_path, case):
    change, said = REFUSED[case]
    change(source)
    with pytest.raises(UserError, match=said):
        make_bert(tmp_path / "made", str(source), tmp_path / "downloads")
    assert not (tmp_path / "made").exists()


def test_weights_that_would_run_code_are_refused(source, tmp_path):
    (source / "model.safetensors").unlink()
    marker = tmp_path / "ran"
    torch.save(Payload(marker), source / "pytorch_model.bin")
    with pytest.raises(UserError, match="loading it could run code"):
        make_bert(tmp_path / "made", str(source), tmp_path / "downloads")
    assert not marker.exists()
