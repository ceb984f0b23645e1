"""XLM-R (Conneau et al. 2020), as an encoder of fairseq's layers with heads for tokens.

fairseq's own model of it has the head of the language model, whose parameters fine-tuning never
uses, and no heads for tokens. This one takes the published weights from ``intra-distill xlmr``.
"""

from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.models import register_model
from fairseq.models.transformer import TransformerEncoderBase
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from torch import Tensor, nn

from ..errors import refuse
from .pretrained_encoder import (
    PretrainedEncoderConfig,
    PretrainedEncoderModel,
    check_config,
    set_layer_norm_eps,
    transformer_config,
)


@dataclass
class XlmrConfig(PretrainedEncoderConfig):
    """The sizes of XLM-R base, unless others are given."""

    layer_norm_eps: float = field(
        default=1e-5, metadata={"help": "ε of the layer normalisations, XLM-R's by default"}
    )


@register_model("xlm_roberta", dataclass=XlmrConfig)  # fairseq has an "xlmr"
class XlmrModel(PretrainedEncoderModel):
    """An XLM-R encoder and any number of heads on its positions.

    The input is ``<s> a </s>``, or ``<s> a </s> </s> b </s>``.
    """

    ARCH, COMMAND = "xlm_roberta", "xlmr"

    @classmethod
    def build_model(cls, cfg: XlmrConfig, task: Any) -> "XlmrModel":
        check_config(cfg)
        if not 0 < cfg.layer_norm_eps < 1:
            refuse(f"--layer-norm-eps must be above 0 and below 1, not {cfg.layer_norm_eps}")
        return cls(cfg, XlmrEncoder(cfg, task.source_dictionary))

    def register_token_head(self, name: str, num_outputs: int) -> None:
        """Add a new head, which is applied at each position."""
        self.add_head(name, num_outputs)

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Optional[Tensor] = None,
        token_head_name: Optional[str] = None,
        **unused: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        """The outputs of a head, or the features without one, of all positions.

        Args:
            src_tokens: (B, T), padded on the right
            src_lengths: unused, the padding says it
            token_head_name: of a registered head
        Returns:
            outputs of the head (B, T, C), or features (B, T, d); and nothing else that is of use
        """
        features = self.encoder(src_tokens)["encoder_out"][0].transpose(0, 1)  # (B, T, d)
        if token_head_name is None:
            return features, {}
        return self.classification_heads[token_head_name](features), {}


class XlmrEncoder(TransformerEncoderBase):
    """fairseq's transformer encoder with XLM-R's initialisation and ε."""

    def __init__(self, cfg: XlmrConfig, dictionary: Any) -> None:
        embed_tokens = nn.Embedding(len(dictionary), cfg.encoder_embed_dim, dictionary.pad())
        super().__init__(transformer_config(cfg), dictionary, embed_tokens)
        self.apply(init_bert_params)
        set_layer_norm_eps(self, cfg.layer_norm_eps)
