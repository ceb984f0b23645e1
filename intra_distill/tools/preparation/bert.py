"""BERT's published files, as Hugging Face has them, become a checkpoint that fairseq starts from.

The directory holds

- ``model.pt``: the encoder and the pooler, for ``--finetune-from-model``. The heads of the
  pretraining are left out;
- ``model.yaml``: the sizes of the model, as a configuration;
- ``vocab.txt``: BERT's word pieces, and ``dict.txt``: the same as fairseq's dictionary;
- ``bert.json``: what they were made from.
"""

import re
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from ...checkpoints import read_tensors, refuse_swollen, save_checkpoint
from ...errors import UserError
from ...files import read_json, read_lines, sha256, write_lines
from ...models.bert import LAYER_NORM_EPS, BertConfig, BertModel
from ..corpora.download import Remote, fetch, is_url
from ..corpora.raw_text import DOWNLOADS, find_other_option
from ..directory import Content, Directory
from .wordpiece import (
    DICTIONARY,
    MODEL_FACTS,
    VOCABULARY,
    check_words,
    indices_of,
    make_dictionary,
)

MODEL, SIZES = "model.pt", "model.yaml"
CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
BASE = (
    "https://huggingface.co/google-bert/bert-base-uncased/resolve/"
    "86b5e0934494bd15c9632b12f734a8a67f723594/"
)
PUBLISHED = {  # size in bytes and SHA-256 of the files of bert-base-uncased, where they are known
    SAFETENSORS: (440449768, "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3"),
    VOCABULARY: (231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
}
# what the plugin's model computes, where Hugging Face's configuration says it
REQUIRED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": LAYER_NORM_EPS,
    "type_vocab_size": 2,
    "position_embedding_type": "absolute",
}
SIZE_OF = {
    "encoder_layers": "num_hidden_layers",
    "encoder_embed_dim": "hidden_size",
    "encoder_ffn_embed_dim": "intermediate_size",
    "encoder_attention_heads": "num_attention_heads",
    "max_positions": "max_position_embeddings",
}
# names of Hugging Face's modules → ours; the first that matches counts
MODULES = [
    (r"embeddings\.word_embeddings", "encoder.embed_tokens"),
    (r"embeddings\.position_embeddings", "encoder.embed_positions"),
    (r"embeddings\.token_type_embeddings", "encoder.embed_segments"),
    (r"embeddings\.LayerNorm", "encoder.layernorm_embedding"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.(q|k|v)\w+", r"encoder.layers.\1.self_attn.\2_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"encoder.layers.\1.self_attn.out_proj"),
    (
        r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm",
        r"encoder.layers.\1.self_attn_layer_norm",
    ),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"encoder.layers.\1.fc1"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"encoder.layers.\1.fc2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"encoder.layers.\1.final_layer_norm"),
    (r"pooler\.dense", "encoder.pooler"),
]
PARAMETERS = {"gamma": "weight", "beta": "bias"}  # of a LayerNorm in the first published files


def make_bert(destdir: Path, source: str | None, downloads: Path) -> bool:
    """Make the directory ``destdir`` unless it is finished.

    Args:
        source: a folder with Hugging Face's files, or a URL with '/' at its end, below which they
            are; BERT base uncased on Hugging Face by default
        downloads: where fetched files are kept
    Returns:
        Whether there was anything to do.
    Raises:
        UserError: the files are not BERT's, or cannot be fetched or written
    """

    def take_steps(directory: Directory) -> Content:
        folder = Path(source) if source and not is_url(source) else downloads
        if source is None or is_url(source):
            fetch_files(source or BASE, downloads)
        directory.make_files(
            destdir,
            [MODEL, SIZES, DICTIONARY, VOCABULARY],
            lambda scratch: convert(folder, scratch),
        )
        return {"lowercase": reads_lowercase(folder), "files": digests(folder)}

    request = {"command": "bert", "source": source}
    return Directory(destdir, MODEL_FACTS, request, find_other_option, {DOWNLOADS}).make(take_steps)


def fetch_files(base: str, downloads: Path) -> None:
    """Fetch what is needed from below a URL; of BERT base uncased sizes and sums are known."""
    if not base.endswith("/"):
        raise UserError(f"--source {base} is no folder of files: it needs a '/' at its end")
    for name in (CONFIG, TOKENIZER_CONFIG, VOCABULARY, SAFETENSORS):
        known = PUBLISHED.get(name, (None, None)) if base == BASE else (None, None)
        instead = "put the files of the model into a folder and name it with --source"
        fetch(Remote(base + name, *known), downloads, instead)


def weights_of(folder: Path) -> Path:
    """The file of weights in a folder: safetensors, or else PyTorch's."""
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has neither {SAFETENSORS} nor {PICKLED}, the weights of the model")


def digests(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in (CONFIG, VOCABULARY, weights_of(folder).name)}


def reads_lowercase(folder: Path) -> bool:
    """Whether the model was trained on lower-case text; the default, as in Hugging Face."""
    path = folder / TOKENIZER_CONFIG
    return bool(read_config(path).get("do_lower_case", True)) if path.is_file() else True


def convert(folder: Path, scratch: Path) -> None:
    """Write the files of the directory into ``scratch``.

    Raises:
        UserError: a file is missing or malformed, or is of another model than BERT
    """
    cfg = read_sizes(folder / CONFIG)
    words = list(read_lines(folder / VOCABULARY))
    check_words(words, folder / VOCABULARY)
    dictionary = make_dictionary(words)
    model = BertModel.build_model(cfg, SimpleNamespace(source_dictionary=dictionary))
    tensors = read_weights(weights_of(folder))
    load_weights(model, tensors, indices_of(words, dictionary), folder)
    write_lines(scratch / VOCABULARY, words)
    pieces = dictionary.symbols[dictionary.nspecial : -1]  # fairseq's task adds the last one
    write_lines(scratch / DICTIONARY, (f"{piece} 1" for piece in pieces))
    sizes = {key: getattr(cfg, key) for key in SIZE_OF if key != "max_positions"}
    task = {"max_positions": cfg.max_positions}
    content = {"model": {"_name": "bert", **sizes}, "task": task}
    write_lines(scratch / SIZES, yaml.safe_dump(content, sort_keys=False).splitlines())
    save_checkpoint(scratch / MODEL, as_checkpoint(model))


def read_config(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no configuration")
    return content


def read_sizes(path: Path) -> BertConfig:
    """The sizes in Hugging Face's configuration of a BERT."""
    content = read_config(path)
    for key, wanted in REQUIRED.items():
        if content.get(key, wanted) != wanted:
            raise UserError(
                f"{path} is of another model than BERT: its {key} is {content[key]!r}, "
                f"not {wanted!r}"
            )
    for key in SIZE_OF.values():
        if type(content.get(key)) is not int or content[key] < 1:
            raise UserError(
                f"{path} is no configuration of BERT: its {key} is {content.get(key)!r}"
            )
    cfg = BertConfig(**{ours: content[theirs] for ours, theirs in SIZE_OF.items()})
    if cfg.encoder_embed_dim % cfg.encoder_attention_heads:
        raise UserError(f"{path}: its attention heads must divide its hidden_size")
    return cfg


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of Hugging Face's file under our names, without the heads of the pretraining.

    Raises:
        UserError: it cannot be read, or ``safetensors`` is not installed
    """
    if path.name == SAFETENSORS:
        tensors = read_safetensors(path)
    else:
        tensors = read_tensors(path, legacy=True)
        if not isinstance(tensors, dict):
            raise UserError(f"{path} holds no weights: it must be a dictionary of tensors")
        refuse_swollen(path, tensors)
    return {our_name(name): tensor.float() for name, tensor in tensors.items() if our_name(name)}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(
            f"reading {path} needs the package safetensors: pip install 'intra_distill[nlu]'"
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is no safetensors file, or only a part of one: {error}") from error


def our_name(name: str) -> str | None:
    """The name of a parameter in our model; None for one that it does not have."""
    module, _, parameter = name.removeprefix("bert.").rpartition(".")
    for theirs, ours in MODULES:
        if re.fullmatch(theirs, module):
            return re.sub(theirs, ours, module) + f".{PARAMETERS.get(parameter, parameter)}"
    return None


def load_weights(
    model: BertModel, tensors: dict[str, Tensor], indices: np.ndarray, folder: Path
) -> None:
    """Copy weights into a model.

    Args:
        model: without heads
        tensors: by our names
        indices: of BERT's words in the dictionary of the model
        folder: of the files, for messages
    Raises:
        UserError: a tensor is missing or has another shape
    """
    for name, parameter in model.named_parameters():
        if name not in tensors:
            raise UserError(f"{folder}: the weights are not BERT's, or not all of them: no {name}")
        tensor = tensors[name]
        ours = parameter.data
        if name == "encoder.embed_tokens.weight" and len(tensor) == len(indices):
            tensor = tensor[indices.argsort()]
        if name == "encoder.embed_positions.weight":
            first = model.encoder.padding_idx + 1  # the rows before it are of padding alone
            ours[:first], ours = 0, ours[first:]
        if tensor.shape != ours.shape:
            raise UserError(
                f"{folder}: {name} is {list(tensor.shape)} in the weights, but "
                f"{list(ours.shape)} by {CONFIG} and {VOCABULARY}"
            )
        ours.copy_(tensor)


def as_checkpoint(model: BertModel) -> dict[str, Any]:
    """A checkpoint as fairseq-train writes it, of a training without updates."""
    return {
        "args": None,
        "cfg": {"common": {"seed": 1}, "model": {**asdict(model.cfg), "_name": "bert"}},
        "model": model.state_dict(),
        "optimizer_history": [
            {
                "criterion_name": None,
                "optimizer_name": None,
                "lr_scheduler_state": {},
                "num_updates": 0,
            }
        ],
        "extra_state": {"train_iterator": {"epoch": 1}},
        "task_state": {},
        "last_optimizer_state": None,
    }
