"""XLM-R's published files, of fairseq and of Hugging Face, become a checkpoint."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from intra_distill.checkpoints import read_checkpoint
from intra_distill.errors import UserError
from intra_distill.tools.config import config_arguments
from intra_distill.tools.preparation import xlmr
from intra_distill.tools.preparation.xlmr import make_xlmr
from intra_distill.tools.preparation.xlmr_pieces import read_pieces

from ...support.bert import hugging_face_tensors
from ...support.payload import Payload
from ...support.server import serve
from ...support.xlmr import build_model, published_state, write_xlmr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of random weights, and the folder of its pieces."""
    folder = write_xlmr(tmp_path_factory.mktemp("pieces"))
    return build_model(folder), folder


def write_fairseq(folder: Path, model, pieces: Path, zipped: bool = False) -> Path:
    """Write the files of an archive of fairseq; in torch's format of 2019 unless ``zipped``."""
    folder.mkdir(parents=True)
    state = published_state(model)
    torch.save(state, folder / "model.pt", _use_new_zipfile_serialization=zipped)
    for name in ("dict.txt", "sentencepiece.bpe.model"):
        shutil.copyfile(pieces / name, folder / name)
    return folder


@pytest.fixture
def published(model, tmp_path) -> Path:
    return write_fairseq(tmp_path / "xlmr.base", *model)


@pytest.fixture
def archive(published, tmp_path) -> Path:
    path = tmp_path / "served" / "xlmr.base.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(published, "xlmr.base")
    return path


@pytest.fixture
def convert(tmp_path):
    """A source → the parameters of the checkpoint."""

    def convert(source, name="made"):
        make_xlmr(tmp_path / name, "base", source and str(source), tmp_path / "downloads")
        return read_checkpoint(tmp_path / name / "model.pt")["model"]

    return convert


def same(ours, model) -> bool:
    """Whether a checkpoint has the parameters of a model in float16, and no others."""
    theirs = model.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name].half().float()) for name in theirs
    )


def test_what_the_directory_holds(model, published, convert, tmp_path):
    assert same(convert(published), model[0])
    made = tmp_path / "made"
    assert {path.name for path in made.iterdir()} == {
        *("model.pt", "model.yaml", "dict.txt", "sentencepiece.bpe.model", "xlmr.json")
    }
    assert len(read_pieces(made).dictionary) == len(model[0].encoder.embed_tokens.weight)
    assert (
        config_arguments(made / "model.yaml")
        == (
            "--arch xlm_roberta --encoder-layers 2 --encoder-embed-dim 32 --encoder-ffn-embed-dim "
            "48 --encoder-attention-heads 2 --layer-norm-eps 1e-05 --max-positions 64"
        ).split()
    )
    assert set(json.loads((made / "xlmr.json").read_text())["files"]) == {
        *("model.pt", "sentencepiece.bpe.model")
    }
    assert not make_xlmr(made, "base", str(published), tmp_path / "downloads")  # finished


@pytest.mark.parametrize("route", ["archive", "address", "default"])
def test_an_archive_is_the_same(model, archive, convert, route, monkeypatch):
    with serve(archive.parent) as server:
        monkeypatch.setattr(xlmr, "BASE", server.url)
        source = {"archive": archive, "address": f"{server.url}{archive.name}", "default": None}
        assert same(convert(source[route]), model[0])


def test_a_newer_checkpoint_is_the_same(model, tmp_path, convert):
    assert same(convert(write_fairseq(tmp_path / "new", *model, zipped=True)), model[0])


def hugging_face(folder: Path, pieces: Path, model_type: str, rows: int) -> Path:
    """Write Hugging Face's files of a BERT, or of an XLM-R, with XLM-R's pieces."""
    folder.mkdir()
    tensors = hugging_face_tensors()
    d, of_xlmr = 32, model_type == "xlm-roberta"
    tensors["embeddings.word_embeddings.weight"] = torch.randn(rows, d)
    if of_xlmr:
        tensors["embeddings.position_embeddings.weight"] = torch.randn(66, d)
        tensors["embeddings.token_type_embeddings.weight"] = torch.randn(1, d)
        tensors = {f"roberta.{name}": tensor for name, tensor in tensors.items()}
        tensors["lm_head.bias"] = torch.zeros(rows)
    save_file(tensors, folder / "model.safetensors")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 48, "max_position_embeddings": 66 if of_xlmr else 64}
    config = {"model_type": model_type, "layer_norm_eps": 1e-5 if of_xlmr else 1e-12, **sizes}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copyfile(pieces / "sentencepiece.bpe.model", folder / "sentencepiece.bpe.model")
    return folder


@pytest.mark.parametrize("model_type", ["xlm-roberta", "bert"])
def test_hugging_faces_files_compute_the_same(model, convert, model_type, tmp_path):
    from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

    _, pieces = model
    size = len(read_pieces(pieces).dictionary)
    source = hugging_face(tmp_path / "source", pieces, model_type, size + 3)
    parameters = convert(source)
    ours = build_model(tmp_path / "made", tmp_path / "made" / "model.yaml")
    ours.load_state_dict(parameters)
    kind = {"bert": (BertConfig, BertModel), "xlm-roberta": (XLMRobertaConfig, XLMRobertaModel)}
    config_of, model_of = kind[model_type]
    config = json.loads((source / "config.json").read_text())
    types = 2 if model_type == "bert" else 1
    special = {"vocab_size": size + 3, "type_vocab_size": types, "pad_token_id": 1}
    reference = model_of(config_of(**{**config, **special}), add_pooling_layer=True)
    theirs = load_file(source / "model.safetensors")
    reference.load_state_dict(
        {name.removeprefix("roberta."): value for name, value in theirs.items() if "lm" not in name}
    )
    src_tokens = torch.tensor([[0, 7, 9, 30, 2], [0, 11, 2, 1, 1]])
    mask = src_tokens.ne(1)
    with torch.no_grad():
        features, _ = ours.eval()(src_tokens)
        expected = reference.eval()(input_ids=src_tokens, attention_mask=mask.long())
    torch.testing.assert_close(features[mask], expected.last_hidden_state[mask], rtol=0, atol=1e-5)


def test_files_are_fetched_from_below_a_url(model, convert, tmp_path):
    size = len(read_pieces(model[1]).dictionary)
    source = hugging_face(tmp_path / "source", model[1], "bert", size)
    with serve(source) as server:
        fetched = convert(server.url)
    local = convert(source, "local")
    assert all(torch.equal(fetched[name], local[name]) for name in local)


def edit_state(folder: Path, change) -> None:
    state = torch.load(folder / "model.pt", weights_only=False)
    change(state)
    torch.save(state, folder / "model.pt")


def drop(name):
    return lambda folder: edit_state(folder, lambda state: state["model"].pop(name))


ENCODER = "decoder.sentence_encoder"
REFUSED = {
    "no layer": (
        drop(f"{ENCODER}.layers.1.fc1.weight"),
        "not all of them: no encoder.layers.1.fc1",
    ),
    "code": (
        lambda folder: edit_state(folder, lambda state: state.update(extra=Payload("touched"))),
        "loading it could run code",
    ),
    "code in the sizes": (
        lambda folder: edit_state(
            folder, lambda state: setattr(state["args"], "encoder_layers", "print(1)")
        ),
        "could run code",
    ),
    "no sizes": (
        lambda folder: edit_state(folder, lambda state: state.update(args=None)),
        "its encoder_layers is None",
    ),
    "other sizes": (
        lambda folder: edit_state(
            folder, lambda state: setattr(state["args"], "encoder_ffn_embed_dim", 64)
        ),
        r"fc1.weight is \[48, 32\] in the weights, but \[64, 32\] by the sizes in model.pt",
    ),
    "a scalar": (
        lambda folder: edit_state(
            folder,
            lambda state: state["model"].update(
                {f"{ENCODER}.layers.0.self_attn.in_proj_weight": torch.tensor(1.0)}
            ),
        ),
        "no encoder.layers.0.self_attn",
    ),
    "a list": (lambda folder: torch.save([1], folder / "model.pt"), "is not a checkpoint that"),
    "an empty file": (lambda folder: (folder / "model.pt").write_bytes(b""), "is not a PyTorch"),
    "no dictionary": (lambda folder: (folder / "dict.txt").unlink(), "dict.txt is missing"),
    "another dictionary": (
        lambda folder: (folder / "dict.txt").write_text("a 1\n"),
        "dict.txt is not the dictionary of sentencepiece.bpe.model",
    ),
    "no pieces": (
        lambda folder: (folder / "sentencepiece.bpe.model").unlink(),
        "cannot read .*sentencepiece.bpe.model",
    ),
    "other pieces": (
        lambda folder: (folder / "sentencepiece.bpe.model").write_bytes(b"{}"),
        "is no SentencePiece model",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_no_xlmr_is_refused(published, convert, change, tmp_path):
    spoil, said = REFUSED[change]
    spoil(published)
    with pytest.raises(UserError, match=said):
        convert(published)
    assert not (tmp_path / "made" / "xlmr.json").exists() and not os.path.exists("touched")


def test_an_archive_without_the_model_is_refused(archive, published, convert):
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(published / "dict.txt", "xlmr.base/dict.txt")
    with pytest.raises(UserError, match="is no archive of XLM-R: it has no xlmr.base/model.pt"):
        convert(archive)
    with pytest.raises(UserError, match="none: No such file"):
        convert("none")
