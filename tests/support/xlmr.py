"""A tiny XLM-R: its SentencePiece model, learnt from a few texts, and random weights."""

import argparse
import io
import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from sentencepiece import SentencePieceTrainer
from torch import nn

from intra_distill.models.xlm_roberta import XlmrConfig, XlmrModel
from intra_distill.tools.config import load_config
from intra_distill.tools.preparation.pretrained import write_model
from intra_distill.tools.preparation.xlmr import FAIRSEQ_SIZES
from intra_distill.tools.preparation.xlmr_pieces import own_pieces, read_pieces, read_processor

TEXTS = [
    "Die Stadt Berlin liegt in Deutschland .",
    "Angela Merkel lives in Berlin, and works for the United Nations.",
    "ﬁsh Mu\u0308ller 東京都 Москва القاهرة (Denver) 1234567890",
]

SIZES = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 2,
    "max_positions": 64,
}


def write_xlmr(folder: Path, texts: Iterable[str] = TEXTS, pieces: int = 120) -> Path:
    """Write what ``read_pieces`` needs into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*texts]),
        model_writer=model,
        vocab_size=pieces,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    lines = map("{} 1\n".format, own_pieces(read_processor(folder / "sentencepiece.bpe.model")))
    (folder / "dict.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "xlmr.json").write_text(json.dumps({}))
    return folder


def build_model(folder: Path, sizes: Path | None = None) -> XlmrModel:
    """Build a model of random weights with the pieces in a folder.

    Args:
        sizes: a configuration, such as model.yaml
    """
    groups = {"model": SIZES} if sizes is None else load_config(sizes)
    options = {**groups["model"], **groups.get("task", {})}
    torch.manual_seed(1)
    task = SimpleNamespace(source_dictionary=read_pieces(folder).dictionary)
    return XlmrModel.build_model(
        XlmrConfig(**{name: value for name, value in options.items() if name != "_name"}), task
    )


def tiny_xlmr(folder: Path, texts: Iterable[str] = TEXTS) -> Path:
    """Make the directory of ``intra-distill xlmr`` of a model with random weights → its path."""
    write_xlmr(folder, texts)
    write_model(folder, build_model(folder))
    return folder


def published_state(model: nn.Module) -> dict[str, Any]:
    """A model's state as fairseq's archives of 2019 have it: older names, and float16."""
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("encoder.", "decoder.sentence_encoder.", 1)
        name = name.replace("layernorm_embedding", "emb_layer_norm")
        state[name] = tensor.half()
    for name in [name for name in state if ".q_proj." in name]:
        parts = [state.pop(name.replace(".q_proj.", f".{part}_proj.")) for part in "qkv"]
        state[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    d = model.cfg.encoder_embed_dim
    state["decoder.lm_head.dense.weight"] = torch.zeros(d, d).half()
    state["decoder.lm_head.weight"] = state["decoder.sentence_encoder.embed_tokens.weight"]
    sizes = {name: getattr(model.cfg, name) for name in FAIRSEQ_SIZES}
    args = argparse.Namespace(arch="roberta_large", task="multilingual_masked_lm", **sizes)
    return {"args": args, "model": state, "extra_state": {}, "optimizer_history": []}
