"""fairseq's translation task with K passes in training."""

from dataclasses import dataclass
from inspect import signature
from typing import Any

from fairseq.models import FairseqEncoderDecoderModel
from fairseq.models.nat import FairseqNATModel
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from torch import nn

from ..errors import refuse
from .auxiliary_loss import AuxiliaryLossTask
from .intra_distillation import IntraDistillationConfig, IntraDistillationTask
from .keep_pruned import KeepPrunedConfig, KeepPrunedTask
from .validation_lengths import ValidationLengthsConfig, ValidationLengthsTask


@dataclass
class TranslationIntraDistillationConfig(
    IntraDistillationConfig, KeepPrunedConfig, ValidationLengthsConfig, TranslationConfig
):
    pass


@register_task("translation_intra_distillation", dataclass=TranslationIntraDistillationConfig)
class TranslationIntraDistillationTask(
    IntraDistillationTask,
    KeepPrunedTask,
    AuxiliaryLossTask,
    ValidationLengthsTask,
    TranslationTask,
):
    """Translation by any autoregressive encoder–decoder, trained with K passes."""

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
