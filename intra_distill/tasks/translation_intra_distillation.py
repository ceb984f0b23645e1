"""fairseq's translation task with K passes in training."""

from dataclasses import dataclass

from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from .autoregressive import AutoregressiveTask
from .auxiliary_loss import AuxiliaryLossTask
from .half_precision import HalfPrecisionConfig, HalfPrecisionTask
from .intra_distillation import IntraDistillationConfig, IntraDistillationTask
from .keep_pruned import KeepPrunedConfig, KeepPrunedTask
from .validation_lengths import ValidationLengthsConfig, ValidationLengthsTask


@dataclass
class TranslationIntraDistillationConfig(
    IntraDistillationConfig,
    HalfPrecisionConfig,
    KeepPrunedConfig,
    ValidationLengthsConfig,
    TranslationConfig,
):
    pass


@register_task("translation_intra_distillation", dataclass=TranslationIntraDistillationConfig)
class TranslationIntraDistillationTask(
    AutoregressiveTask,
    IntraDistillationTask,
    HalfPrecisionTask,
    KeepPrunedTask,
    AuxiliaryLossTask,
    ValidationLengthsTask,
    TranslationTask,
):
    """Translation by any autoregressive encoder–decoder, trained with K passes."""
