"""A tiny BERT in Hugging Face's files, and what ``intra-distill bert`` makes of it."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from intra_distill.tools.preparation.bert import make_bert

WORDS = "a the cat dog cow sleeps eats here today ##s ##ing not no very good bad".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [
    piece for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for piece in (letter, f"##{letter}")
]
PIECES = list(dict.fromkeys(["[PAD]", "[unused0]", *SPECIAL[1:], *LETTERS, *WORDS]))
SIZES = {
    "vocab_size": len(PIECES),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


def write_hugging_face(folder: Path, seed: int = 1, **sizes: int) -> BertModel:
    """Write config.json, model.safetensors and vocab.txt of a BERT with random weights.

    The weights are larger than those of a new model, so that every parameter matters, and the
    vectors of LayerNorm are no ones and zeros.
    """
    torch.manual_seed(seed)
    model = BertModel(BertConfig(**{**SIZES, **sizes})).eval()
    for name, parameter in model.named_parameters():
        spread = torch.randn_like(parameter) * 0.3
        parameter.data = spread + 1 if name.endswith("LayerNorm.weight") else spread
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), encoding="utf-8")
    return model


def make_tiny_bert(folder: Path) -> Path:
    """Make the directory of ``intra-distill bert`` → its path."""
    write_hugging_face(folder / "hugging_face")
    make_bert(folder / "bert", str(folder / "hugging_face"), folder / "downloads")
    return folder / "bert"
