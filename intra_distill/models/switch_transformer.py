"""The Switch Transformer (Fedus et al. 2021): fairseq's transformer with experts for its FFNs.

A router and ``--num-experts`` FFNs replace each FFN; the router sends each token to one of them.
The layers stay fairseq's: the router moves the tokens into slots before ``fc1``, the layer's own
activation and dropout work on the slots, and the router moves the tokens back after ``fc2``. The
FFN of a dropped token gives zero, so only the residual connection carries the token.

The task adds the load-balancing loss to any criterion: see
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

from ..core.routing import (
    Routing,
    combine,
    dispatch,
    expert_capacity,
    load_balancing_loss,
    route,
)
from ..errors import refuse


@dataclass
class SwitchConfig(FairseqDataclass):
    num_experts: int = field(default=4, metadata={"help": "E: experts in place of each FFN"})
    capacity_factor: float = field(
        default=1.25,
        metadata={
            "help": "number of tokens that an expert accepts in training, as a multiple of its "
            "even share. It drops those that chose it with the lowest probability, wherever they "
            "are in the batch. In inference no token is dropped"
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
            "help": "dropout inside the experts, instead of --activation-dropout "
            "(default: --dropout)"
        },
    )


@dataclass
class SwitchTransformerConfig(SwitchConfig, TransformerConfig):
    pass


class Batch(NamedTuple):
    """What the routers of an encoder or decoder need to know about a batch."""

    real: Tensor  # False for padding, (T, B) like the layers' input
    capacity: int | None  # C in training; None in inference, where no token is dropped


class Load(NamedTuple):
    """How evenly a layer spread the tokens of a forward pass; only ``loss`` carries a gradient."""

    loss: Tensor  # E Σ_e f_e P_e
    max_share: Tensor  # share of the tokens that chose the busiest expert
    dropped: Tensor  # share of the tokens that were dropped
    tokens: Tensor  # number of tokens, without padding


class Experts(nn.Module):
    """E linear layers as one: (E, C, in) → (E, C, out)."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([each.weight.detach() for each in linears]))
        self.bias = nn.Parameter(torch.stack([each.bias.detach() for each in linears]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))


class Router(nn.Linear):
    """Moves tokens to experts and back, by hooks on a layer's ``fc1`` and ``fc2``.

    It computes in at least float32. Its weight is (E, d); it has no bias.
    """

    def __init__(self, dim: int, cfg: SwitchConfig) -> None:
        super().__init__(dim, cfg.num_experts, bias=False)
        self.jitter = cfg.router_jitter
        self.batch: Batch | None = None  # set before each forward pass
        self.routing: Routing | None = None  # set between fc1 and fc2
        self.loads: list[Load] | None = None  # one per forward pass; None: do not record

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
        if self.training:  # even if not recorded: recomputation must repeat every operation
            _, _, source, load = self.routing
            loss = load_balancing_loss(probabilities, real, load)
            total = load.sum().clamp(min=1)
            dropped = 1 - source.ge(0).sum() / total
            figures = Load(loss, load.max() / total, dropped, total)
            if self.loads is not None:
                self.loads.append(figures)
        return dispatch(tokens, self.routing)

    def combine(self, _fc2: nn.Module, _inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        """(E, C, d) → (T, B, d), after ``fc2``."""
        tokens = combine(outputs, self.routing)
        self.routing = None
        return tokens.unflatten(0, self.batch.real.shape)

    def collect(self) -> Load | None:
        """Stop recording and return the recorded loads' mean, weighted by tokens; None if none."""
        loads, self.loads = self.loads, None
        if not loads:
            return None
        *shares, tokens = (torch.stack(parts) for parts in zip(*loads))  # (forward passes,)
        total = tokens.sum()
        return Load(*((share * tokens).sum() / total for share in shares), total)


def add_experts(layer: nn.Module, cfg: SwitchConfig) -> nn.Module:
    """Replace a layer's FFN by a router and experts, each initialised like fairseq's FFN."""
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


def set_batch(layers: nn.ModuleList, real: Tensor, cfg: SwitchConfig, training: bool) -> None:
    """Give the routers of an encoder or decoder a batch's mask, (B, T), False for padding."""
    capacity = None
    if training:  # counted once for all layers, because int() waits for the GPU
        capacity = expert_capacity(int(real.sum()), cfg.num_experts, cfg.capacity_factor)
    for layer in layers.children():  # iterating over the list would let LayerDrop skip layers
        layer.router.batch = Batch(real.t(), capacity)


class SwitchEncoder(TransformerEncoderBase):
    def build_encoder_layer(self, cfg: SwitchTransformerConfig) -> nn.Module:
        return add_experts(super().build_encoder_layer(cfg), cfg)

    def forward(self, src_tokens: Tensor, *args: Any, **kwargs: Any) -> dict[str, list[Tensor]]:
        set_batch(self.layers, src_tokens.ne(self.padding_idx), self.cfg, self.training)
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
        # in incremental decoding the layers see only the last position
        tokens = prev_output_tokens if incremental_state is None else prev_output_tokens[:, -1:]
        set_batch(self.layers, tokens.ne(self.padding_idx), self.cfg, self.training)
        return super().extract_features(
            prev_output_tokens, encoder_out, incremental_state, **kwargs
        )


@register_model("switch_transformer")
class SwitchTransformerModel(TransformerModel):
    """An encoder–decoder with experts in every layer.

    Raises:
        SystemExit: with one line, for options that are out of range or incompatible with
            experts, and for training with a task that ignores auxiliary losses
    """

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        super().add_args(parser)
        gen_parser_from_dataclass(parser, SwitchConfig())

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "SwitchTransformerModel":
        cfg = SwitchTransformerConfig.from_namespace(args)
        check(cfg)
        # fairseq's activation dropout is the one inside the FFN, here inside each expert
        cfg.activation_dropout = cfg.dropout if cfg.expert_dropout is None else cfg.expert_dropout
        model = super().build_model(cfg, task)
        layer_drop = max(cfg.encoder.layerdrop, cfg.decoder.layerdrop)
        if layer_drop > 0 and getattr(task, "num_passes", 1) > 1:
            refuse(
                "experts take whole batches, and with K passes LayerDrop skips layers in some "
                "copies: leave out --encoder-layerdrop and --decoder-layerdrop, or the experts"
            )
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
        """Record the loads of the following forward passes, if the model is in training mode.

        Without this call nothing is recorded. When backward recomputes activations, a recorded
        loss would keep them in memory.
        """
        for router in self.routers:
            router.loads = [] if self.training else None

    def auxiliary_loss(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """α Σ_layers E Σ_e f_e P_e per target token, and figures to log; None if not recorded.

        ``load_balance``, 1 to E, and ``dropped``, the share of dropped tokens, are means over the
        layers. ``expert_load_max`` is the share of the tokens that chose the busiest expert of all
        layers. Layers that LayerDrop skipped do not count; if it skipped all, the figures are None.
        """
        if self.routers[0].loads is None:
            return None
        loads = [each for each in [router.collect() for router in self.routers] if each]
        if not loads:
            no_loss = self.routers[0].weight.new_zeros(())
            return no_loss, dict.fromkeys(("load_balance", "expert_load_max", "dropped"))
        loss, max_share, dropped, _ = (torch.stack(parts) for parts in zip(*loads))  # (layers,)
        return self.cfg.load_balance_alpha * loss.sum(), {
            "load_balance": loss.detach().mean(),
            "expert_load_max": max_share.max(),
            "dropped": dropped.mean(),
        }


def check(cfg: SwitchTransformerConfig) -> None:
    """Refuse options that are out of range or incompatible with experts."""
    if cfg.num_experts < 2:
        refuse(f"--num-experts must be at least 2, not {cfg.num_experts}")
    if not 0 < cfg.capacity_factor < math.inf:
        refuse(f"--capacity-factor must be finite and above 0, not {cfg.capacity_factor}")
    if not 0 <= cfg.router_jitter < 1:
        refuse(f"--router-jitter must be at least 0 and below 1, not {cfg.router_jitter}")
    if not 0 <= cfg.load_balance_alpha < math.inf:
        refuse(f"--load-balance-alpha must be finite and at least 0, not {cfg.load_balance_alpha}")
    if cfg.expert_dropout is not None and not 0 <= cfg.expert_dropout < 1:
        refuse(f"--expert-dropout must be at least 0 and below 1, not {cfg.expert_dropout}")
    if cfg.activation_dropout > 0:
        refuse("every FFN is an expert: use --expert-dropout instead of --activation-dropout")
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
            "this task ignores the load-balancing loss: train the Switch Transformer with "
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
