"""The auxiliary loss of a model joins any criterion's loss.

The behaviour is a mixin, put before the task that it changes. A model has an auxiliary loss if it
has two methods: ``start_auxiliary_loss()`` is called before the forward passes of a batch, and
``auxiliary_loss()`` after them. It gives the loss in nats per target token and figures to log, the
means over the forward passes, or None where none was training. Each batch has the same figures: one
that has no value there, as all layers were dropped, is None.
"""

from typing import Any

from fairseq.logging import metrics
from torch import Tensor, nn

from ..core.unwrap import unwrap

# of the figures' names on their way through fairseq's logging outputs, and of their weights
PREFIX, WEIGHT = "auxiliary/", "auxiliary_weight/"


class AuxiliaryLossTask:
    """Mixin for a fairseq task: adds the auxiliary loss × target tokens to a criterion's sum.

    fairseq's criteria sum over target tokens and the trainer divides by the sample size, so the
    auxiliary loss weighs as one more term of every token's loss, whatever the sample size counts.
    The loss that is logged stays the criterion's own, comparable between models.
    """

    joins_auxiliary_loss = True

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> nn.Module:
        criterion = super().build_criterion(cfg, *args, **kwargs)
        criterion.register_forward_pre_hook(_start)
        criterion.register_forward_hook(_join)
        return criterion

    def reduce_metrics(self, logging_outputs: list[dict[str, Any]], criterion: nn.Module) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        for key in logging_outputs[0] if logging_outputs else ():
            if key.startswith(PREFIX):
                name = key.removeprefix(PREFIX)
                weight = sum(log[WEIGHT + name] for log in logging_outputs)
                if weight > 0:
                    mean = sum(log[key] for log in logging_outputs) / weight
                    metrics.log_scalar(name, mean, weight, round=3)


def _start(criterion: nn.Module, inputs: tuple[Any, ...]) -> None:
    model = unwrap(inputs[0])
    if hasattr(model, "auxiliary_loss"):
        model.start_auxiliary_loss()


def _join(
    criterion: nn.Module, inputs: tuple[Any, ...], output: tuple[Tensor, Any, dict[str, Any]]
) -> tuple[Tensor, Any, dict[str, Any]]:
    model, sample = unwrap(inputs[0]), inputs[1]
    auxiliary = model.auxiliary_loss() if hasattr(model, "auxiliary_loss") else None
    if auxiliary is None:
        return output
    loss, sample_size, logging_output = output
    auxiliary_loss, figures = auxiliary
    ntokens = sample["ntokens"]
    logging_output = dict(logging_output)
    for name, figure in figures.items():
        # fairseq sums up over ranks by position and by type: both are the same in every batch
        value = auxiliary_loss.new_zeros(()) if figure is None else figure * ntokens
        logging_output[PREFIX + name] = value
        logging_output[WEIGHT + name] = 0 if figure is None else ntokens
    return loss + ntokens * auxiliary_loss, sample_size, logging_output
