"""LayerDrop (Fan et al. 2020) that drops other layers in each copy of a batch.

Passes that are made one after the other drop different layers. A list that draws once for a whole
batch would drop the same in all of its copies.
"""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from .replicate import Copies

# of a layer's arguments, what has a row for each sentence, and the dimension of the rows
SENTENCES = {
    "x": 1,
    "encoder_out": 1,
    "encoder_padding_mask": 0,
    "self_attn_padding_mask": 0,
}


class LayerDropPerCopy(nn.ModuleList):
    """A list of layers; going through it in training skips each with probability p in each copy.

    With one copy it draws and skips as fairseq's ``LayerDropModuleList`` does.
    """

    def __init__(self, layers: list[nn.Module], p: float, copies: Copies) -> None:
        super().__init__(layers)
        self.p, self.copies = p, copies

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        K = self.copies.number
        kept = torch.empty(K, len(self)).uniform_().gt(self.p)  # fairseq draws on the CPU as well
        for i, layer in enumerate(super().__iter__()):
            taking = kept[:, i].nonzero().flatten().tolist()
            if not self.training or len(taking) == K:
                yield layer
            elif taking:
                yield partial(run_on_copies, layer, K, taking)


def drop_layers_per_copy(model: nn.Module, kind: type[nn.ModuleList], copies: Copies) -> None:
    """Replace the lists of a class with ``p``, such as fairseq's, by lists that drop per copy."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                layers = list(child.children())  # iterating would drop some
                setattr(parent, name, LayerDropPerCopy(layers, child.p, copies))


def run_on_copies(
    layer: nn.Module, num_passes: int, taking: list[int], *args: Any, **kwargs: Any
) -> Any:
    """Run a transformer layer on some of the K copies; the others pass through unchanged.

    Args:
        layer: maps ``x``, (T, K·B, d), and arguments of the names in SENTENCES to x, or to a tuple
            of x and what training does not use, which becomes None
        num_passes: K
        taking: the copies that go through the layer
    """
    # a layer with --checkpoint-activations has another forward of its own
    bound = signature(type(layer).forward).bind(layer, *args, **kwargs)
    arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
    taken = torch.tensor(taking, device=arguments["x"].device)

    def split(value: Tensor, dim: int) -> Tensor:
        return value.unflatten(dim, (num_passes, -1))

    def take(value: Tensor | None, dim: int) -> Tensor | None:
        if value is None:
            return None
        return split(value, dim).index_select(dim, taken).flatten(dim, dim + 1)

    some = {
        name: take(arguments[name], dim) for name, dim in SENTENCES.items() if name in arguments
    }
    output = layer(**{**arguments, **some})
    changed, *rest = output if isinstance(output, tuple) else (output,)
    changed = changed.unflatten(1, (len(taking), -1))
    x = split(arguments["x"], 1).index_copy(1, taken, changed).flatten(1, 2)
    return (x, *[None] * len(rest)) if isinstance(output, tuple) else x
