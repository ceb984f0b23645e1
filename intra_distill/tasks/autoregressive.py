"""Which models of translation can be trained with K passes.

The behaviour is a mixin, placed before :class:`.intra_distillation.IntraDistillationTask`.
"""

from inspect import signature
from typing import Any

from fairseq.models import FairseqEncoderDecoderModel
from fairseq.models.nat import FairseqNATModel
from torch import nn

from ..errors import refuse


class AutoregressiveTask:
    """Mixin for a task of translation: its model is any autoregressive encoder–decoder.

    Raises:
        SystemExit: with one line, for another model, or one that has no logits of all types
    """

    def check_model(self, model: nn.Module) -> None:
        super().check_model(model)
        name = type(model).__name__
        if not isinstance(model, FairseqEncoderDecoderModel) or isinstance(model, FairseqNATModel):
            refuse(f"{name} is not an autoregressive encoder–decoder: choose another --arch")
        if getattr(model.decoder, "adaptive_softmax", None) is not None:
            refuse(
                "the loss needs logits of the whole vocabulary, which an adaptive softmax does "
                "not output: leave out --adaptive-softmax-cutoff"
            )
        if "enforce_sorted" in signature(model.encoder.forward).parameters:
            model.encoder.register_forward_pre_hook(_allow_unsorted, with_kwargs=True)


def _allow_unsorted(
    encoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Tell an LSTM encoder that its batch is not sorted: K copies of a sorted batch are not."""
    return args, {**kwargs, "enforce_sorted": False}
