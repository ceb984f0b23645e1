"""Published encoders in Hugging Face's files: their sizes, and their weights under our names."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from ...checkpoints import read_tensors, refuse_swollen
from ...errors import UserError
from ...files import read_json
from ..corpora.download import Remote, fetch

CONFIG = "config.json"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
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


def fetch_files(
    base: str, names: list[str], known: dict[str, tuple[int, str]], downloads: Path
) -> None:
    """Fetch files from below a URL.

    Args:
        base: the URL, with '/' at its end
        names: of the files
        known: size in bytes and SHA-256 of some of them
        downloads: where they are kept
    Raises:
        UserError: one cannot be fetched, or is not what is known of it
    """
    if not base.endswith("/"):
        raise UserError(f"--source {base} is no folder of files: it needs a '/' at its end")
    for name in names:
        instead = "put the files of the model into a folder and name it with --source"
        fetch(Remote(base + name, *known.get(name, (None, None))), downloads, instead)


def weights_of(folder: Path) -> Path:
    """The file of weights in a folder: safetensors, or else PyTorch's."""
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has neither {SAFETENSORS} nor {PICKLED}, the weights of the model")


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON file with a dictionary; UserError if it is none."""
    try:
        content = read_json(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no configuration")
    return content


def read_sizes(
    path: Path, model: str, required: dict[str, Any]
) -> tuple[dict[str, int], dict[str, Any]]:
    """Read the sizes in Hugging Face's configuration of an encoder.

    Args:
        path: of config.json
        model: what it must be of, for messages
        required: what the plugin's model computes, where the configuration says it: a value, or a
            tuple of possible ones
    Returns:
        the sizes under our names, and the whole content
    Raises:
        UserError: it is no configuration, or of another model
    """
    content = read_config(path)
    for key, wanted in required.items():
        possible = wanted if isinstance(wanted, tuple) else (wanted,)
        if content.get(key, possible[0]) not in possible:
            raise UserError(
                f"{path} is of another model than {model}: its {key} is {content[key]!r}, not "
                f"{' or '.join(map(repr, possible))}"
            )
    for key in SIZE_OF.values():
        if type(content.get(key)) is not int or content[key] < 1:
            raise UserError(
                f"{path} is no configuration of {model}: its {key} is {content.get(key)!r}"
            )
    if content["hidden_size"] % content["num_attention_heads"]:
        raise UserError(f"{path}: its attention heads must divide its hidden_size")
    return {ours: content[theirs] for ours, theirs in SIZE_OF.items()}, content


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
    """The name of a parameter in our model; None for one that no model here has."""
    module, _, parameter = re.sub(r"^(bert|roberta)\.", "", name).rpartition(".")
    for theirs, ours in MODULES:
        if re.fullmatch(theirs, module):
            return re.sub(theirs, ours, module) + f".{PARAMETERS.get(parameter, parameter)}"
    return None
