"""Input cutoff: all copies of a batch but the first see some of its tokens as zeros.

SimCut (Gao et al., NAACL 2022) does so to the second of two passes. Cutoff perturbs the data, so it
adds to what dropout does.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .replicate import Copies, split_passes

EMBEDDINGS = "embed_tokens"  # the name of token embeddings in all of fairseq's models


def token_embeddings(model: nn.Module) -> list[nn.Module]:
    """The token embeddings of a model, each once where source and target share them."""
    return [each for name, each in model.named_modules() if name.split(".")[-1] == EMBEDDINGS]


def cut_tokens(model: nn.Module, copies: Copies, probability: float) -> None:
    """Zero each token's embedding with probability P in the copies 2 … K, whole vectors at a time.

    Embeddings of positions are added later and stay, so that the model sees where a token is
    missing.

    Args:
        model: whose token embeddings map (n·B, T) to (n·B, T, d)
        copies: which of them the model takes
        probability: P
    """

    def cut(_embed: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        if copies.first == 0 and copies.number == 1:  # the whole batch
            return output
        keep = torch.rand(output.shape[:-1], device=output.device).ge(probability)
        if copies.first == 0:
            split_passes(keep, copies.number)[0] = True
        return output * keep.unsqueeze(-1).to(output.dtype)

    for embed in token_embeddings(model):
        embed.register_forward_hook(cut)
