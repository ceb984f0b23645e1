"""A tiny BERT in Hugging Face's files, and what ``intra-distill bert`` makes of it."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from intra_distill.tools.preparation.bert import make_bert

from .glue import PIECES

SIZES = {
    "vocab_size": len(PIECES),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


def hugging_face_tensors() -> dict[str, Tensor]:
    """Random parameters under Hugging Face's names.

    They are larger than those of a new model, so that every one of them matters, and the vectors of
    the LayerNorms are no ones and zeros.
    """
    random = torch.Generator().manual_seed(1)
    d, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
    tables = {"word": len(PIECES), "position": SIZES["max_position_embeddings"], "token_type": 2}
    shapes = {f"embeddings.{name}_embeddings.weight": (n, d) for name, n in tables.items()}
    linear = {"pooler.dense": (d, d)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(SIZES["num_hidden_layers"])):
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{layer}.attention.{name}"] = (d, d)
        linear |= {f"{layer}.intermediate.dense": (inner, d), f"{layer}.output.dense": (d, inner)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, (rows, columns) in linear.items():
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
    tensors = {name: 0.3 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    for name in norms:
        tensors[f"{name}.weight"] += 1
    return tensors


def write_hugging_face(folder: Path) -> Path:
    """Write config.json, model.safetensors and vocab.txt of a BERT with random parameters."""
    folder.mkdir(parents=True)
    config = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, **SIZES}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(hugging_face_tensors(), folder / "model.safetensors")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), encoding="utf-8")
    return folder


def make_tiny_bert(folder: Path) -> Path:
    """Make the directory of ``intra-distill bert`` → its path."""
    source = write_hugging_face(folder / "hugging_face")
    make_bert(folder / "bert", str(source), folder / "downloads")
    return folder / "bert"
