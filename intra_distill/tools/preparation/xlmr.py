"""XLM-R's published files become a checkpoint that fairseq-train starts from.

They are fairseq's own archives, whose checkpoints of 2019 have older names and torch's old format,
or Hugging Face's files. The directory holds

- ``model.pt``: the encoder, for ``--finetune-from-model``, without the language model's head;
- ``model.yaml``: the sizes of the model, as a configuration;
- ``sentencepiece.bpe.model``: its pieces, and ``dict.txt``: the same as fairseq's dictionary;
- ``xlmr.json``: what they were made from.
"""

import argparse
import re
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from fairseq.data import Dictionary
from torch import Tensor

from ...checkpoints import read_tensors, refuse_code, refuse_swollen
from ...errors import UserError
from ...files import read_json, read_lines, sha256, write_json, write_lines
from ...models.xlm_roberta import XlmrConfig, XlmrModel
from ..corpora.archive import unpack
from ..corpora.download import Remote, fetch, is_url, remove_fetched
from ..corpora.raw_text import DOWNLOADS, find_other_option
from ..directory import Content, Directory
from .hugging_face import CONFIG, SAFETENSORS, fetch_files, read_sizes, read_weights, weights_of
from .pretrained import MODEL, SIZES, behind_padding, load_weights, write_model
from .xlmr_pieces import (
    DICTIONARY,
    MODEL_FACTS,
    PIECES,
    make_dictionary,
    own_pieces,
    read_processor,
)

PUBLISHED_SIZES = ("base", "large")
BASE = "http://dl.fbaipublicfiles.com/fairseq/models/"
MAX_MODEL_BYTES = 2**32  # XLM-R large has 560M parameters
FACTS = "facts.json"
FAIRSEQ_SIZES = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "max_positions",
)
# what the plugin's model computes, where Hugging Face's configuration says it; multilingual E5 is
# a BERT with XLM-R's pieces
REQUIRED = {
    "model_type": ("xlm-roberta", "bert"),
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}
SENTENCE_ENCODER = re.compile(r"(?:decoder|encoder)\.(?:sentence_encoder\.)?(.+)")
IN_PROJECTION = re.compile(r"(.+self_attn\.)in_proj_(weight|bias)")


class Published(NamedTuple):
    """An encoder as it is read from published files.

    Attributes:
        cfg: its sizes.
        tensors: by the names of our model.
    """

    cfg: XlmrConfig
    tensors: dict[str, Tensor]


def make_xlmr(destdir: Path, size: str, source: str | None, downloads: Path) -> bool:
    """Make the directory ``destdir`` unless it is finished.

    Args:
        size: of fairseq's archive that is fetched, one of :data:`PUBLISHED_SIZES`
        source: an archive of fairseq; a folder with its files or Hugging Face's; the URL of an
            archive, or one with '/' at its end, below which Hugging Face's files are; by default
            fairseq's own archive
        downloads: where fetched files are kept
    Returns:
        Whether there was anything to do.
    Raises:
        UserError: the files are not XLM-R's, or cannot be fetched or written
    """

    def take_steps(directory: Directory) -> Content:
        facts = directory.work / FACTS

        def write(scratch: Path) -> None:
            folder = find_files(size, source, downloads, scratch)
            convert(folder, scratch)
            write_json(facts, {"files": digests(folder)})

        directory.make_files(destdir, [MODEL, SIZES, DICTIONARY, PIECES], write)
        return read_json(facts)

    request = {"command": "xlmr", "size": None if source else size, "source": source}
    return Directory(destdir, MODEL_FACTS, request, find_other_option, {DOWNLOADS}).make(take_steps)


def find_files(size: str, source: str | None, downloads: Path, scratch: Path) -> Path:
    """Fetch and unpack what is needed, and return the folder of the files."""
    if source is not None and not is_url(source):
        path = Path(source)
        if not path.exists():
            raise UserError(f"--source {source}: No such file or folder")
        return path if path.is_dir() else unpack_archive(path, scratch / "unpacked")
    if source is not None and source.endswith("/"):
        fetch_files(source, [CONFIG, PIECES, SAFETENSORS], {}, downloads)
        return downloads
    remote = Remote(source or f"{BASE}xlmr.{size}.tar.gz")
    instead = "get it with a browser, and give the file as --source"
    archive = fetch(remote, downloads, instead)
    try:
        return unpack_archive(archive, scratch / "unpacked")
    except UserError:
        remove_fetched(archive)
        raise


def unpack_archive(archive: Path, folder: Path) -> Path:
    """Unpack an archive of fairseq into a folder, and return the folder."""
    names = (MODEL, DICTIONARY, PIECES)
    wanted = {f"xlmr.{size}/{name}" for size in PUBLISHED_SIZES for name in names}
    found = {Path(name).name for name in unpack(archive, wanted, folder, MAX_MODEL_BYTES)}
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{archive} is no archive of XLM-R: it has no xlmr.base/{missing[0]}")
    return folder


def is_of_fairseq(folder: Path) -> bool:
    """Whether a folder has fairseq's files rather than Hugging Face's."""
    return (folder / MODEL).is_file()


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file that the model is made from."""
    weights = [MODEL] if is_of_fairseq(folder) else [CONFIG, weights_of(folder).name]
    return {name: sha256(folder / name) for name in (*weights, PIECES)}


def convert(folder: Path, scratch: Path) -> None:
    """Write the files of the directory into ``scratch``.

    Raises:
        UserError: a file is missing or malformed, or is of another model than XLM-R
    """
    processor = read_processor(folder / PIECES)
    dictionary = make_dictionary(processor)
    if is_of_fairseq(folder):
        check_dictionary(folder / DICTIONARY, dictionary)
        published, sizes_of = read_fairseq(folder / MODEL), f"the sizes in {MODEL} and {PIECES}"
    else:
        published, sizes_of = read_hugging_face(folder, dictionary), f"{CONFIG} and {PIECES}"
    task = SimpleNamespace(source_dictionary=dictionary)
    model = XlmrModel.build_model(published.cfg, task)
    load_weights(model, published.tensors, folder, sizes_of)
    write_lines(scratch / DICTIONARY, (f"{piece} 1" for piece in own_pieces(processor)))
    (scratch / PIECES).write_bytes((folder / PIECES).read_bytes())
    write_model(scratch, model)


def check_dictionary(path: Path, dictionary: Dictionary) -> None:
    """Raise UserError unless fairseq's dictionary has the pieces in their order."""
    if not path.is_file():
        raise UserError(f"{path} is missing, fairseq's dictionary of XLM-R")
    theirs = [line.rpartition(" ")[0] for line in read_lines(path)]
    if theirs != dictionary.symbols[dictionary.nspecial : -1]:
        raise UserError(f"{path} is not the dictionary of {PIECES} beside it")


def read_fairseq(path: Path) -> Published:
    """Read a checkpoint of fairseq, also of 2019.

    Raises:
        UserError: it is no checkpoint, could run code, or is of another model
    """
    state = read_tensors(path, legacy=True)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise UserError(f"{path} is not a checkpoint that fairseq-train wrote")
    refuse_code(path, state)
    refuse_swollen(path, state["model"])
    options = state.get("args") or (state.get("cfg") or {}).get("model") or {}
    options = vars(options) if isinstance(options, argparse.Namespace) else dict(options)
    sizes = {name: options.get(name) for name in FAIRSEQ_SIZES}
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise UserError(f"{path} is no XLM-R: its {name} is {size!r}")
    if sizes["encoder_embed_dim"] % sizes["encoder_attention_heads"]:
        raise UserError(f"{path}: its attention heads must divide its width")
    return Published(XlmrConfig(**sizes), dict(our_tensors(state["model"])))


def our_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of fairseq's RoBERTa under our names, in float32, without heads."""
    ours = {}
    for name, tensor in tensors.items():
        encoder = SENTENCE_ENCODER.fullmatch(name)
        if encoder is None or encoder[1].startswith("lm_head."):
            continue
        name = "encoder." + encoder[1].replace("emb_layer_norm.", "layernorm_embedding.")
        projection = IN_PROJECTION.fullmatch(name)
        if projection and tensor.dim():  # of queries, keys and values, in one
            parts = zip("qkv", tensor.float().chunk(3), strict=False)
            ours |= {f"{projection[1]}{part}_proj.{projection[2]}": rows for part, rows in parts}
        else:
            ours[name] = tensor.float()
    return ours


def read_hugging_face(folder: Path, dictionary: Dictionary) -> Published:
    """Read Hugging Face's files of an XLM-R, or of a BERT with XLM-R's pieces.

    All tokens are of the first segment, whose embedding is added to those of the positions.

    Raises:
        UserError: a file is missing or malformed, or is of another model
    """
    sizes, content = read_sizes(folder / CONFIG, "XLM-R", REQUIRED)
    eps = content.get("layer_norm_eps", 1e-12)  # Hugging Face's default
    if not isinstance(eps, float) or not 0 < eps < 1:
        raise UserError(f"{folder / CONFIG}: its layer_norm_eps is {eps!r}, not between 0 and 1")
    is_bert = content.get("model_type") == "bert"
    first = dictionary.pad() + 1  # the rows before it are of padding alone
    if not is_bert:
        sizes["max_positions"] -= first
        if sizes["max_positions"] < 1:
            raise UserError(f"{folder / CONFIG}: its max_position_embeddings leave no position")
    tensors = read_weights(weights_of(folder))
    tokens, positions, segments = (
        f"encoder.embed_{what}.weight" for what in ("tokens", "positions", "segments")
    )
    if any(tensors[name].dim() != 2 for name in (tokens, positions, segments) if name in tensors):
        raise UserError(f"{weights_of(folder)}: its embeddings are no matrices")
    if tokens in tensors:  # some have more rows, which no piece has
        tensors[tokens] = tensors[tokens][: len(dictionary)]
    if positions in tensors and segments in tensors:
        if is_bert:
            tensors[positions] = behind_padding(tensors[positions], dictionary.pad())
        if tensors[positions].size(1) == tensors[segments].size(1) and len(tensors[segments]):
            tensors[positions][first:] += tensors[segments][0]
    return Published(XlmrConfig(**sizes, layer_norm_eps=eps), tensors)
