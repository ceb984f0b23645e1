"""What BERT and XLM-R share: an encoder of fairseq's layers, and heads for predictions.

fairseq's own RoBERTa has a language model's head, which fine-tuning never uses, and no heads for
tokens. The models here take published weights from ``intra-distill bert`` and ``xlmr``.
"""

from dataclasses import dataclass, field, fields
from typing import ClassVar

from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqEncoder, FairseqEncoderModel
from fairseq.models.transformer import TransformerConfig
from fairseq.models.transformer.transformer_config import EncDecBaseConfig
from omegaconf import II
from torch import Tensor, nn

from ..errors import refuse

INITIAL_STD = 0.02  # of weights that no file has, such as those of a new head
HEADS = "classification_heads"


@dataclass
class PretrainedEncoderConfig(FairseqDataclass):
    """The sizes of the base models, unless others are given."""

    encoder_layers: int = field(default=12, metadata={"help": "number of layers"})
    encoder_embed_dim: int = field(default=768, metadata={"help": "width of the encoder"})
    encoder_ffn_embed_dim: int = field(default=3072, metadata={"help": "width inside the FFNs"})
    encoder_attention_heads: int = field(default=12, metadata={"help": "attention heads"})
    dropout: float = field(default=0.1, metadata={"help": "dropout after each sublayer"})
    attention_dropout: float = field(default=0.1, metadata={"help": "dropout of attention weights"})
    classifier_dropout: float = field(default=0.1, metadata={"help": "dropout before a head"})
    checkpoint_activations: bool = field(
        default=False, metadata={"help": "recompute the activations of each layer in backward"}
    )
    max_positions: int = II("task.max_positions")


class PretrainedEncoderModel(FairseqEncoderModel):
    """An encoder and any number of heads, of which a forward pass uses one."""

    ARCH: ClassVar[str]  # the name of the architecture
    COMMAND: ClassVar[str]  # the command that makes its checkpoint

    def __init__(self, cfg: PretrainedEncoderConfig, encoder: FairseqEncoder) -> None:
        super().__init__(encoder)
        self.cfg = cfg
        self.classification_heads = nn.ModuleDict()

    def add_head(self, name: str, num_outputs: int) -> None:
        """Add a new head."""
        self.classification_heads[name] = Head(
            self.cfg.encoder_embed_dim, num_outputs, self.cfg.classifier_dropout
        )

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
                refuse(
                    f"the checkpoint is not of --arch {self.ARCH}: it has no {key}. "
                    f"intra-distill {self.COMMAND} converts published ones"
                )
            theirs, ours = list(state_dict[key].shape), list(value.shape)
            if theirs != ours and key.startswith(HEADS):
                refuse(
                    f"the checkpoint's head has {theirs[0]} classes, not {ours[0]}: it is of "
                    "another task. Start from the pretrained model, or give the new head another "
                    "--classification-head-name"
                )
            if theirs != ours:
                refuse(
                    f"the checkpoint's {key} is {theirs}, the model's {ours}: give --arch "
                    f"{self.ARCH} its sizes and vocabulary, which intra-distill {self.COMMAND} "
                    "writes beside it"
                )


class Head(nn.Module):
    """Dropout and a linear layer.

    Args:
        width: d
        num_outputs: C
        dropout: of the input
    """

    def __init__(self, width: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, num_outputs)
        nn.init.normal_(self.out_proj.weight, std=INITIAL_STD)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(…, d) → (…, C)"""
        return self.out_proj(self.dropout(features))


def set_layer_norm_eps(module: nn.Module, eps: float) -> None:
    """Set ε of all layer normalisations; fairseq's layers have torch's, 1e-5."""
    for each in module.modules():
        if isinstance(each, nn.LayerNorm):
            each.eps = eps


def check_config(cfg: PretrainedEncoderConfig) -> None:
    """Refuse sizes and dropout rates that are out of range."""
    for name in (option.name for option in fields(PretrainedEncoderConfig)):
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


def transformer_config(cfg: PretrainedEncoderConfig) -> TransformerConfig:
    """fairseq's configuration of an encoder of these layers."""
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
