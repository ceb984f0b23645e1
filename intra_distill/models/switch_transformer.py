"""The Switch Transformer (Fedus et al. 2021): fairseq's transformer with experts for its FFNs.

Each FFN becomes ``--num-experts`` copies of itself and a router that sends every token to one of
them. The layers stay fairseq's: the router puts the tokens into slots before ``fc1``, the layer's
own activation and dropout work on the slots, and the router takes the tokens back after ``fc2``.
A dropped token's FFN gives zero, and the residual connection carries it on.

The load-balancing loss reaches any criterion through the task: see
:mod:`intra_distill.tasks.auxiliary_loss`.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import (
    TransformerConfig,
    TransformerDecoderBase,
    TransformerEncoderBase,
    TransformerModel,
    base_architecture,
    tiny_architecture,
    transformer_iwslt_de_en,
    transformer_vaswani_wmt_en_de_big,
)
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.switch import Routing, combine, dispatch, expert_capacity, load_balancing_loss, route
from ..errors import refuse


@dataclass
class SwitchConfig(FairseqDataclass):
    num_experts: int = field(default=4, metadata={"help": "E: experts in place of each FFN"})
    capacity_factor: float = field(
        default=1.25,
        metadata={
            "help": "in training an expert takes this many times its even share of the tokens, "
            "and drops what comes later; in inference no token is dropped"
        },
    )
    router_jitter: float = field(
        default=0.01,
        metadata={"help": "ε: in training the router's input is multiplied by U(1 − ε, 1 + ε)"},
    )
    load_balance_alpha: float = field(
        default=0.01, metadata={"help": "weight of each layer's load-balancing loss"}
    )
    expert_dropout: Optional[float] = field(
        default=None,
        metadata={
            "help": "dropout inside the experts, in place of --activation-dropout; "
            "as --dropout if not given"
        },
    )


@dataclass
class SwitchTransformerConfig(SwitchConfig, TransformerConfig):
    pass


class Batch(NamedTuple):
    """What the routers of an encoder or decoder have to know of a batch."""

    real: Tensor  # False for padding, (T, B) as the layers have it
    capacity: int | None  # C in training; None in inference: as many tokens as there are


class Balance(NamedTuple):
    """How evenly a layer spread the tokens of a forward pass; only ``loss`` carries a gradient."""

    loss: Tensor  # E Σ_e f_e P_e
    load_max: Tensor  # the share of the tokens that chose the busiest expert
    dropped: Tensor  # the share of the tokens that found their expert full
    tokens: Tensor  # how many there were


class Experts(nn.Module):
    """E linear maps side by side: (E, C, in) → (E, C, out)."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([each.weight.detach() for each in linears]))
        self.bias = nn.Parameter(torch.stack([each.bias.detach() for each in linears]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))


class Router(nn.Linear):
    """Sends tokens to experts and takes them back: hooks of a layer's ``fc1`` and ``fc2``.

    It computes in float32 at least; its weight is (E, d), without a bias.
    """

    def __init__(self, dim: int, cfg: SwitchConfig) -> None:
        super().__init__(dim, cfg.num_experts, bias=False)
        self.jitter = cfg.router_jitter
        self.batch: Batch | None = None  # set by the encoder or decoder
        self.routing: Routing | None = None  # between fc1 and fc2
        self.balances: list[Balance] | None = None  # of forward passes, while they are wanted

    def forward(self, tokens: Tensor) -> Tensor:
        """Probabilities of the experts: (N, d) → (N, E)."""
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = tokens.to(torch.promote_types(torch.float32, tokens.dtype))
            if self.training and self.jitter > 0:
                noise = torch.empty_like(tokens).uniform_(1 - self.jitter, 1 + self.jitter)
                tokens = tokens * noise
            return F.linear(tokens, self.weight.to(tokens.dtype)).softmax(dim=-1)

    def dispatch(self, _fc1: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        """(T, B, d) → (E, C, d), before ``fc1``."""
        tokens = inputs[0].flatten(0, 1)
        real = self.batch.real.flatten()
        probabilities = self(tokens)
        self.routing = route(probabilities, real, self.batch.capacity)
        if self.training:  # wanted or not: recomputing has to do all that was done before
            _, _, source, load = self.routing
            loss = load_balancing_loss(probabilities, real, load)
            total = load.sum().clamp(min=1)
            dropped = 1 - source.ge(0).sum() / total
            balance = Balance(loss, load.max() / total, dropped, total)
            if self.balances is not None:
                self.balances.append(balance)
        return dispatch(tokens, self.routing)

    def combine(self, _fc2: nn.Module, _inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        """(E, C, d) → (T, B, d), after ``fc2``."""
        tokens = combine(outputs, self.routing)
        self.routing = None
        return tokens.unflatten(0, self.batch.real.shape)

    def collect(self) -> Balance | None:
        """Of all forward passes since it was asked for: the means over their tokens, if any."""
        balances, self.balances = self.balances, None
        if not balances:
            return None
        *shares, tokens = (torch.stack(parts) for parts in zip(*balances))  # (forward passes,)
        total = tokens.sum()
        return Balance(*((share * tokens).sum() / total for share in shares), total)


def add_experts(layer: nn.Module, cfg: SwitchConfig) -> nn.Module:
    """Put a router and experts in place of a layer's FFN, each begun as fairseq begins an FFN."""
    fc1, fc2 = layer.fc1, layer.fc2
    no_noise = 0.0, 8  # quantisation noise, and its block size

    def experts(build: Callable[..., nn.Linear], like: nn.Linear) -> Experts:
        sizes = like.in_features, like.out_features
        return Experts([build(*sizes, *no_noise) for _ in range(cfg.num_experts)])

    layer.router = Router(fc1.in_features, cfg)
    layer.fc1, layer.fc2 = experts(layer.build_fc1, fc1), experts(layer.build_fc2, fc2)
    layer.fc1.register_forward_pre_hook(layer.router.dispatch)
    layer.fc2.register_forward_hook(layer.router.combine)
    layer.can_use_fastpath = False  # some releases of fairseq bypass fc1 and fc2 in inference
    return layer


def announce(layers: nn.ModuleList, real: Tensor, cfg: SwitchConfig, training: bool) -> None:
    """Tell the routers of an encoder or decoder where a batch is no padding, (B, T)."""
    capacity = None
    if training:  # the tokens are counted once for all layers: on a GPU that is a wait
        capacity = expert_capacity(int(real.sum()), cfg.num_experts, cfg.capacity_factor)
    for layer in layers.children():  # iterating over the list itself could drop layers
        layer.router.batch = Batch(real.t(), capacity)


class SwitchEncoder(TransformerEncoderBase):
    def build_encoder_layer(self, cfg: SwitchTransformerConfig) -> nn.Module:
        return add_experts(super().build_encoder_layer(cfg), cfg)

    def forward(self, src_tokens: Tensor, *args: Any, **kwargs: Any) -> dict[str, list[Tensor]]:
        announce(self.layers, src_tokens.ne(self.padding_idx), self.cfg, self.training)
        return super().forward(src_tokens, *args, **kwargs)


class SwitchDecoder(TransformerDecoderBase):
    def build_decoder_layer(
        self, cfg: SwitchTransformerConfig, no_encoder_attn: bool = False
    ) -> nn.Module:
        return add_experts(super().build_decoder_layer(cfg, no_encoder_attn), cfg)

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list[Tensor]] | None = None,
        incremental_state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        # in incremental decoding the layers see the last position alone
        tokens = prev_output_tokens if incremental_state is None else prev_output_tokens[:, -1:]
        announce(self.layers, tokens.ne(self.padding_idx), self.cfg, self.training)
        return super().extract_features(
            prev_output_tokens, encoder_out, incremental_state, **kwargs
        )


@register_model("switch_transformer")
class SwitchTransformerModel(TransformerModel):
    """An encoder–decoder with experts in every layer.

    Raises:
        SystemExit: with one line, for options that are out of range or that experts cannot
            work with, and for training with a task that does not know auxiliary losses
    """

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        super().add_args(parser)
        gen_parser_from_dataclass(parser, SwitchConfig())

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "SwitchTransformerModel":
        cfg = SwitchTransformerConfig.from_namespace(args)
        check(cfg)
        # what fairseq calls activation dropout is inside the FFN, and every FFN is an expert
        cfg.activation_dropout = cfg.dropout if cfg.expert_dropout is None else cfg.expert_dropout
        model = super().build_model(cfg, task)
        if not hasattr(task, "joins_auxiliary_loss"):
            model.register_forward_pre_hook(_refuse_training)
        return model

    @classmethod
    def build_encoder(
        cls, cfg: SwitchTransformerConfig, src_dict: Any, embed_tokens: nn.Embedding
    ) -> SwitchEncoder:
        return SwitchEncoder(cfg, src_dict, embed_tokens)

    @classmethod
    def build_decoder(
        cls, cfg: SwitchTransformerConfig, tgt_dict: Any, embed_tokens: nn.Embedding
    ) -> SwitchDecoder:
        return SwitchDecoder(cfg, tgt_dict, embed_tokens, no_encoder_attn=cfg.no_cross_attention)

    @property
    def routers(self) -> list[Router]:
        return [module for module in self.modules() if isinstance(module, Router)]

    def start_auxiliary_loss(self) -> None:
        """Keep what the forward passes from here on add to the loss, if they are training.

        Nothing is kept unasked: where activations are recomputed in backward, whatever a forward
        pass leaves behind would hold them in memory.
        """
        for router in self.routers:
            router.balances = [] if self.training else None

    def auxiliary_loss(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """α Σ E Σ_e f_e P_e over the layers, per target token, and figures to log.

        Of the forward passes since the start, None where none was training. Logged are the means
        over the layers of the balance, 1 to E, and of the share of dropped tokens, and the share
        of the tokens that chose the busiest expert of all layers. Layers that LayerDrop left out
        do not count, and where it left out all there are no figures.
        """
        if self.routers[0].balances is None:
            return None
        balances = [each for each in [router.collect() for router in self.routers] if each]
        if not balances:
            no_loss = self.routers[0].weight.new_zeros(())
            return no_loss, dict.fromkeys(("load_balance", "expert_load_max", "dropped"))
        loss, load_max, dropped, _ = (torch.stack(parts) for parts in zip(*balances))  # (layers,)
        return self.cfg.load_balance_alpha * loss.sum(), {
            "load_balance": loss.detach().mean(),
            "expert_load_max": load_max.max(),
            "dropped": dropped.mean(),
        }


def check(cfg: SwitchTransformerConfig) -> None:
    """Refuse options that are out of range, and what experts cannot work with."""
    if cfg.num_experts < 2:
        refuse(f"--num-experts must be at least 2, not {cfg.num_experts}")
    if not 0 < cfg.capacity_factor < math.inf:
        refuse(f"--capacity-factor must be a number above 0, not {cfg.capacity_factor}")
    if not 0 <= cfg.router_jitter < 1:
        refuse(f"--router-jitter must be at least 0 and below 1, not {cfg.router_jitter}")
    if not 0 <= cfg.load_balance_alpha < math.inf:
        refuse(f"--load-balance-alpha must be at least 0, not {cfg.load_balance_alpha}")
    if cfg.expert_dropout is not None and not 0 <= cfg.expert_dropout < 1:
        refuse(f"--expert-dropout must be at least 0 and below 1, not {cfg.expert_dropout}")
    if cfg.activation_dropout > 0:
        refuse("every FFN is an expert: --expert-dropout takes the place of --activation-dropout")
    if cfg.checkpoint_activations or cfg.offload_activations:
        refuse(
            "the load-balancing loss does not pass through activation checkpoints: leave out "
            "--checkpoint-activations and --offload-activations"
        )
    if cfg.quant_noise.pq > 0 or cfg.quant_noise.scalar > 0:
        refuse("experts cannot be quantised: leave out --quant-noise-pq and --quant-noise-scalar")
    if cfg.base_layers > 0:
        refuse("every layer has experts already: leave out --base-layers")


def _refuse_training(model: nn.Module, _inputs: Any) -> None:
    if model.training:
        refuse(
            "this task would leave out the load-balancing loss: train the Switch Transformer with "
            "--task translation_intra_distillation (--num-passes 1 is plain translation)"
        )


ARCHITECTURES = {
    "switch_transformer": base_architecture,
    "switch_transformer_tiny": tiny_architecture,
    "switch_transformer_iwslt_de_en": transformer_iwslt_de_en,
    "switch_transformer_wmt_en_de_big": transformer_vaswani_wmt_en_de_big,
}
for name, dense in ARCHITECTURES.items():
    register_model_architecture("switch_transformer", name)(dense)
