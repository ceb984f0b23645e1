"""BERT (Devlin et al. 2019), as an encoder of fairseq's layers with heads for predictions.

fairseq's RoBERTa has no segment embeddings, another ε in its layer normalisations, dropout before
the pooler, and a language model's head that fine-tuning never uses. This model computes what BERT
computes, and takes its published weights from ``intra-distill bert``.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Optional

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqEncoderModel, register_model
from fairseq.models.transformer import TransformerConfig, TransformerEncoderBase
from fairseq.models.transformer.transformer_config import EncDecBaseConfig
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from omegaconf import II
from torch import Tensor, nn

from ..errors import refuse

LAYER_NORM_EPS = 1e-12
INITIAL_STD = 0.02  # of weights that no file has, such as those of a new head
HEADS = "classification_heads"


@dataclass
class BertConfig(FairseqDataclass):
    """The sizes of BERT base, unless others are given."""

    encoder_layers: int = field(default=12, metadata={"help": "number of layers"})
    encoder_embed_dim: int = field(default=768, metadata={"help": "width of the encoder"})
    encoder_ffn_embed_dim: int = field(default=3072, metadata={"help": "width inside the FFNs"})
    encoder_attention_heads: int = field(default=12, metadata={"help": "attention heads"})
    dropout: float = field(default=0.1, metadata={"help": "dropout after each sublayer"})
    attention_dropout: float = field(default=0.1, metadata={"help": "dropout of attention weights"})
    classifier_dropout: float = field(
        default=0.1, metadata={"help": "dropout between the pooler and a head"}
    )
    checkpoint_activations: bool = field(
        default=False, metadata={"help": "recompute the activations of each layer in backward"}
    )
    max_positions: int = II("task.max_positions")


@register_model("bert", dataclass=BertConfig)
class BertModel(FairseqEncoderModel):
    """A BERT encoder, its pooler and any number of heads.

    The input is ``[CLS] a [SEP]``, or ``[CLS] a [SEP] b [SEP]``, in a dictionary in which fairseq's
    ``<s>``, ``</s>``, ``<pad>`` and ``<unk>`` are BERT's [CLS], [SEP], [PAD] and [UNK].
    """

    def __init__(self, cfg: BertConfig, encoder: "BertEncoder") -> None:
        super().__init__(encoder)
        self.cfg = cfg
        self.classification_heads = nn.ModuleDict()

    @classmethod
    def build_model(cls, cfg: BertConfig, task: Any) -> "BertModel":
        check_config(cfg)
        return cls(cfg, BertEncoder(cfg, task.source_dictionary))

    def register_classification_head(self, name: str, num_classes: int) -> None:
        """Add a new head. A regression has one class."""
        self.classification_heads[name] = BertHead(
            self.cfg.encoder_embed_dim, num_classes, self.cfg.classifier_dropout
        )

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Optional[Tensor] = None,
        classification_head_name: Optional[str] = None,
        **unused: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        """The outputs of a head, or the features of all positions without one.

        Args:
            src_tokens: (B, T), padded on the right
            src_lengths: unused, the padding says it
            classification_head_name: of a registered head
        Returns:
            outputs of the head (B, C), or features (B, T, d); and nothing else that is of use
        """
        features = self.encoder(src_tokens)["encoder_out"][0].transpose(0, 1)  # (B, T, d)
        if classification_head_name is None:
            return features, {}
        pooled = torch.tanh(self.encoder.pooler(features[:, 0]))  # (B, d)
        return self.classification_heads[classification_head_name](pooled), {}

    def max_positions(self) -> int:
        return self.encoder.max_positions()

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Give the heads of this model to a state that has none of their name; leave out others.

        Raises:
            SystemExit: with one line, if the state does not fit the model
        """
        super().upgrade_state_dict_named(state_dict, name)
        own = self.state_dict()
        for key in list(state_dict):
            if key.startswith(HEADS) and key not in own:
                del state_dict[key]
        for key, value in own.items():
            if key.startswith(HEADS):
                state_dict.setdefault(key, value)
            if key not in state_dict:
                refuse(f"the checkpoint is not of --arch bert: it has no {key}")
            theirs, ours = list(state_dict[key].shape), list(value.shape)
            if theirs != ours and key.startswith(HEADS):
                refuse(
                    f"the checkpoint's head has {theirs[0]} classes, not {ours[0]}: it is of "
                    "another task. Start from the pretrained model, or give the new head another "
                    "--classification-head-name"
                )
            if theirs != ours:
                refuse(
                    f"the checkpoint's {key} is {theirs}, the model's {ours}: give --arch bert its "
                    "sizes and vocabulary, which intra-distill bert writes beside it"
                )


class BertEncoder(TransformerEncoderBase):
    """fairseq's transformer encoder with segment embeddings and a pooler.

    The segment of a position is the number of [SEP] before it: 0 in the first sentence with its
    [SEP], 1 after it.
    """

    def __init__(self, cfg: BertConfig, dictionary: Any) -> None:
        d = cfg.encoder_embed_dim
        embed_tokens = nn.Embedding(len(dictionary), d, dictionary.pad())
        super().__init__(transformer_config(cfg), dictionary, embed_tokens)
        self.separator = dictionary.eos()
        self.embed_segments = nn.Embedding(2, d)
        self.pooler = nn.Linear(d, d)
        self.apply(init_bert_params)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = LAYER_NORM_EPS

    def forward_embedding(
        self, src_tokens: Tensor, token_embedding: Optional[Tensor] = None
    ) -> tuple[Tensor, Tensor]:
        """The sum of the embeddings of tokens, positions and segments, normalised, (B, T, d)."""
        if token_embedding is None:
            token_embedding = self.embed_tokens(src_tokens)
        ends = src_tokens.eq(self.separator).long()
        segments = (ends.cumsum(dim=1) - ends).clamp(max=1)
        x = token_embedding + self.embed_positions(src_tokens) + self.embed_segments(segments)
        return self.dropout_module(self.layernorm_embedding(x)), token_embedding


class BertHead(nn.Module):
    """Dropout and a linear layer on the pooled output of [CLS].

    Args:
        width: d
        num_classes: C
        dropout: of the pooled output
    """

    def __init__(self, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, num_classes)
        nn.init.normal_(self.out_proj.weight, std=INITIAL_STD)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, d) → (B, C)"""
        return self.out_proj(self.dropout(pooled))


def check_config(cfg: BertConfig) -> None:
    """Refuse sizes and dropout rates that are out of range."""
    for name in (option.name for option in fields(BertConfig)):
        option, value = f"--{name.replace('_', '-')}", getattr(cfg, name)
        if name.startswith("encoder_") and value < 1:
            refuse(f"{option} must be at least 1, not {value}")
        if name.endswith("dropout") and not 0 <= value < 1:
            refuse(f"{option} must be at least 0 and below 1, not {value}")
    if cfg.encoder_embed_dim % cfg.encoder_attention_heads:
        refuse(
            f"--encoder-attention-heads {cfg.encoder_attention_heads} must divide "
            f"--encoder-embed-dim {cfg.encoder_embed_dim}"
        )


def transformer_config(cfg: BertConfig) -> TransformerConfig:
    """fairseq's configuration of an encoder of BERT's layers."""
    return TransformerConfig(
        activation_fn="gelu",
        dropout=cfg.dropout,
        attention_dropout=cfg.attention_dropout,
        max_source_positions=cfg.max_positions,
        no_scale_embedding=True,
        layernorm_embedding=True,
        checkpoint_activations=cfg.checkpoint_activations,
        encoder=EncDecBaseConfig(
            layers=cfg.encoder_layers,
            embed_dim=cfg.encoder_embed_dim,
            ffn_embed_dim=cfg.encoder_ffn_embed_dim,
            attention_heads=cfg.encoder_attention_heads,
            learned_pos=True,
        ),
    )
