"""How much each parameter contributes to the loss, and how evenly: section 2 of the paper."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

BLOCK = 2**17  # values converted to float64 at once; a block fits the CPU's cache


class Sensitivity(NamedTuple):
    scores: dict[str, Tensor]  # by parameter name, in the parameter's shape and on its device
    loss: float  # per token, in the unit of the losses


def sensitivity(
    model: nn.Module, losses: Iterable[tuple[Tensor, int]], mean_of_absolute: bool = False
) -> Sensitivity:
    """|θ ⊙ ḡ|, equation (2), for each single parameter; ḡ is the gradient of the loss per token.

    Batches are weighted by their tokens, so ḡ is the gradient over all batches as one. The
    gradients accumulate in ``grad`` and become the scores in place to save memory: one copy of the
    model's size, or two with ``mean_of_absolute``.

    Args:
        model: its gradients must be None; a shared parameter is scored once, under its first name,
            and a parameter that the loss does not depend on scores 0
        losses: for each batch, the loss summed over its tokens and the number of tokens; a
            generator works, because backward runs before the next loss is taken
        mean_of_absolute: Σ |θ ⊙ g| per token instead, g the gradient of one batch's summed loss;
            the gradients of batches do not cancel when their signs differ
    """
    parameters = dict(model.named_parameters())
    sums: dict[str, Tensor] = {}
    total_loss, total_tokens = 0.0, 0
    for loss, tokens in losses:
        loss.backward()
        total_loss += float(loss.detach())
        total_tokens += tokens
        if mean_of_absolute:
            _move_absolute_gradients(parameters, sums)
    scores = {}
    with torch.no_grad():
        for name, parameter in parameters.items():
            gradient = sums.pop(name, None) if mean_of_absolute else parameter.grad
            if gradient is None:
                gradient = torch.zeros_like(parameter)
            parameter.grad = None
            scores[name] = gradient.mul_(parameter).div_(total_tokens).abs_()
    return Sensitivity(scores, total_loss / total_tokens)


def _move_absolute_gradients(parameters: dict[str, nn.Parameter], sums: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            absolute = parameter.grad.abs_()
            sums[name] = sums[name].add_(absolute) if name in sums else absolute
            parameter.grad = None


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation, and their ratios, which are comparable between models."""

    mean: float | None
    sd: float | None  # of the population: the paper's degree of contribution balance
    mean_over_loss: float | None
    sd_over_loss: float | None
    sd_over_mean: float | None  # coefficient of variation


@dataclass(frozen=True)
class Balance:
    """How evenly parameters share the sensitivity; None where a figure would divide by 0."""

    parameters: int
    all: Moments
    without_top_1_percent: Moments
    top_20_percent_mean: float | None
    bottom_80_percent_mean: float | None
    top_to_bottom: float | None  # ratio of the two means
    gini: float | None  # 0 if all are equal, 1 − 1/N if one parameter has all


def pool(tensors: Sequence[Tensor]) -> Tensor:
    """Sort all values of tensors of any shape and device: float32 on the CPU, (N,), ascending.

    numpy sorts in place to save memory: torch's sort would need four times as much.
    """
    values = torch.empty(sum(tensor.numel() for tensor in tensors))
    parts = values.split([tensor.numel() for tensor in tensors])
    for part, tensor in zip(parts, tensors, strict=True):
        part.copy_(tensor.detach().flatten())
    values.numpy().sort()
    return values


def balance(ascending: Tensor, loss: float) -> Balance:
    """Measure how evenly sensitivities are shared, in float64.

    Percentages of N are rounded down to whole parameters.

    Args:
        ascending: sensitivities from :func:`pool`, (N,)
        loss: of the model, in the unit of the sensitivities
    """
    N = len(ascending)
    bottom, top = ascending[: N - N // 5], ascending[N - N // 5 :]
    top_mean, bottom_mean = _mean(top), _mean(bottom)
    return Balance(
        parameters=N,
        all=_moments(ascending, loss),
        without_top_1_percent=_moments(without_top_1_percent(ascending), loss),
        top_20_percent_mean=top_mean,
        bottom_80_percent_mean=bottom_mean,
        top_to_bottom=_ratio(top_mean, bottom_mean),
        gini=_gini(ascending),
    )


def without_top_1_percent(ascending: Tensor) -> Tensor:
    return ascending[: len(ascending) - len(ascending) // 100]


def _moments(values: Tensor, loss: float) -> Moments:
    mean = _mean(values)
    sd = None
    if mean is not None:
        squares = sum(
            float((block.double() - mean).square().sum()) for block in values.split(BLOCK)
        )
        sd = (squares / len(values)) ** 0.5
    return Moments(mean, sd, _ratio(mean, loss), _ratio(sd, loss), _ratio(sd, mean))


def _mean(values: Tensor) -> float | None:
    return _ratio(sum(float(block.double().sum()) for block in values.split(BLOCK)), len(values))


def _gini(ascending: Tensor) -> float | None:
    """Σ_i (2i − N − 1) x_i / (N Σ_i x_i), with ranks i from 1."""
    N = len(ascending)
    weighted = total = 0.0
    for i, block in enumerate(ascending.split(BLOCK)):
        first = i * BLOCK + 1
        rank = torch.arange(first, first + len(block), dtype=torch.float64)
        weighted += float(((2 * rank - N - 1) * block).sum())
        total += float(block.double().sum())
    return _ratio(weighted, N * total)


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None
