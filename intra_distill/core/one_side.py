"""Passes that differ on one side of an encoder–decoder; the other drops the same in all copies.

An encoder that is the same in all copies runs once, and its output serves all of them. A decoder
takes the copies one after the other, each under the same random state, because they come with
different outputs of the encoder.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from .replicate import Copies, take_passes


def share_encoder(model: nn.Module, copies: Copies) -> None:
    """Make an encoder run once for all K copies of a training batch.

    Args:
        model: has an ``encoder`` with fairseq's ``reorder_encoder_out``
        copies: which of them the model takes
    """
    whole = type(model.encoder).forward

    def forward(encoder: nn.Module, src_tokens: Tensor, *args: Any, **kwargs: Any) -> Any:
        K = copies.number
        if K > 1:
            src_tokens, args, kwargs = take_passes((src_tokens, args, kwargs), K, 0, 1)
        with copies.in_model(0, 1):
            encoder_out = whole(encoder, src_tokens, *args, **kwargs)
        if K == 1:
            return encoder_out
        sentences = torch.arange(src_tokens.size(0), device=src_tokens.device)
        return encoder.reorder_encoder_out(encoder_out, sentences.repeat(K))

    model.encoder.forward = MethodType(forward, model.encoder)  # a copied model gets its own


def share_decoder_dropout(model: nn.Module, copies: Copies) -> None:
    """Make a decoder draw the same dropout for each of the K copies of a training batch.

    Args:
        model: has an ``encoder`` with fairseq's ``reorder_encoder_out``, and a ``decoder`` whose
            output is a tuple of a tensor, (K·B, ...), and anything else, which becomes None
        copies: which of them the model takes
    """
    encoder, whole = model.encoder, type(model.decoder).forward

    def forward(
        decoder: nn.Module, prev_output_tokens: Tensor, encoder_out: Any, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Any]:
        K = copies.number
        if K == 1:
            return whole(decoder, prev_output_tokens, encoder_out, *args, **kwargs)
        device = prev_output_tokens.device
        B = prev_output_tokens.size(0) // K
        state, outputs = random_state(device), []
        for copy in range(K):
            set_random_state(device, state)
            tokens, own_args, own_kwargs = take_passes(
                (prev_output_tokens, args, kwargs), K, copy, copy + 1
            )
            sentences = torch.arange(copy * B, (copy + 1) * B, device=device)
            # fairseq's transformer changes the lists in its output
            own_out = encoder.reorder_encoder_out(with_own_lists(encoder_out), sentences)
            with copies.in_model(0, 1):
                outputs.append(whole(decoder, tokens, own_out, *own_args, **own_kwargs)[0])
        return torch.cat(outputs), None

    model.decoder.forward = MethodType(forward, model.decoder)


def with_own_lists(encoder_out: Any) -> Any:
    if not isinstance(encoder_out, dict):
        return encoder_out
    return {
        name: list(value) if isinstance(value, list) else value
        for name, value in encoder_out.items()
    }


def random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The state of the CPU's random numbers, and of a GPU's; layers draw from both."""
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def set_random_state(device: torch.device, state: tuple[Tensor, Tensor | None]) -> None:
    on_cpu, on_gpu = state
    torch.set_rng_state(on_cpu)
    if on_gpu is not None:
        torch.cuda.set_rng_state(on_gpu, device)
