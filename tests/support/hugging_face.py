"""transformers' models with the parameters of ours, and the comparison of their gradients."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

PARTS = {  # transformers' modules of a layer → ours
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "self_attn_layer_norm",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "final_layer_norm",
}


def modules_of(prefix: str) -> dict[str, str]:
    """transformers' modules of an encoder with one layer → ours.

    Args:
        prefix: of theirs, such as ``bert``
    """
    return {
        f"{prefix}.embeddings.word_embeddings": "encoder.embed_tokens",
        f"{prefix}.embeddings.LayerNorm": "encoder.layernorm_embedding",
        **{
            f"{prefix}.encoder.layer.0.{theirs}": f"encoder.layers.0.{ours}"
            for theirs, ours in PARTS.items()
        },
    }


def parameters_of(modules: Mapping[str, str], theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """transformers' parameters of these modules, as far as a model has them → ours."""
    return {
        f"{module}.{suffix}": f"{ours}.{suffix}"
        for module, ours in modules.items()
        for suffix in ("weight", "bias")
        if f"{module}.{suffix}" in theirs
    }


def assert_gradients(
    grads: Mapping[str, Tensor], sample_size: int, reference: nn.Module, modules: Mapping[str, str]
) -> None:
    """Compare the gradients of our summed loss with those of a reference's mean loss."""
    theirs = dict(reference.named_parameters())
    for name, ours in parameters_of(modules, theirs).items():
        torch.testing.assert_close(
            grads[ours] / sample_size, theirs[name].grad, rtol=1e-4, atol=1e-6
        )
