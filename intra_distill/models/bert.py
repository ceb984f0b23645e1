"""BERT (Devlin et al. 2019), as an encoder of fairseq's layers with heads for sentences.

fairseq's RoBERTa has no segment embeddings, another ε in its layer normalisations, dropout before
the pooler, and a language model's head that fine-tuning never uses. This model computes what BERT
computes, and takes its published weights from ``intra-distill bert``.
"""

from dataclasses import dataclass
from typing import Any, Optional

import torch
from fairseq.models import register_model
from fairseq.models.transformer import TransformerEncoderBase
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from torch import Tensor, nn

from .pretrained_encoder import (
    PretrainedEncoderConfig,
    PretrainedEncoderModel,
    check_config,
    set_layer_norm_eps,
    transformer_config,
)

LAYER_NORM_EPS = 1e-12


@dataclass
class BertConfig(PretrainedEncoderConfig):
    """The sizes of BERT base, unless others are given."""


@register_model("bert", dataclass=BertConfig)
class BertModel(PretrainedEncoderModel):
    """A BERT encoder, its pooler and any number of heads.

    The input is ``[CLS] a [SEP]``, or ``[CLS] a [SEP] b [SEP]``, in a dictionary in which fairseq's
    ``<s>``, ``</s>``, ``<pad>`` and ``<unk>`` are BERT's [CLS], [SEP], [PAD] and [UNK].
    """

    ARCH = COMMAND = "bert"

    @classmethod
    def build_model(cls, cfg: BertConfig, task: Any) -> "BertModel":
        check_config(cfg)
        return cls(cfg, BertEncoder(cfg, task.source_dictionary))

    def register_classification_head(self, name: str, num_classes: int) -> None:
        """Add a new head on the pooled output of [CLS]. A regression has one class."""
        self.add_head(name, num_classes)

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
        set_layer_norm_eps(self, LAYER_NORM_EPS)

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
