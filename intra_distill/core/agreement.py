"""How predictions agree with gold labels, from sums: of a batch, a data set or several ranks.

Sums of counts can be added up over batches and ranks without an error, where lists of predictions
would have to be collected. Every function returns a fraction, not a percentage, and 0 where the
statistic is undefined.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def accuracy(correct: float, total: float) -> float:
    """The share of predictions that are correct."""
    return correct / total if total else 0.0


def f1(tp: float, fp: float, fn: float) -> float:
    """F1 = 2 tp / (2 tp + fp + fn) of the positive class, the second of two.

    Args:
        tp: true positives
        fp: false positives
        fn: false negatives
    """
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def matthews(tp: float, fp: float, fn: float, tn: float) -> float:
    """Matthews' correlation coefficient of two classes (Matthews, 1975).

    (tp · tn − fp · fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn))
    """
    # in floats, since the product of four counts overflows 64 bits in tensors
    product = math.prod(float(each) for each in (tp + fp, tp + fn, tn + fp, tn + fn))
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def pearson(n: float, x: float, y: float, xx: float, yy: float, xy: float) -> float:
    """Pearson's correlation coefficient of n pairs, from the sums of x, y, x², y² and xy.

    (n Σxy − Σx Σy) / √((n Σx² − (Σx)²)(n Σy² − (Σy)²))
    """
    product = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / math.sqrt(product) if product > 0 else 0.0


def class_counts(prediction: Tensor, target: Tensor, num_classes: int) -> dict[str, Tensor]:
    """The sums that accuracy and, for two classes, F1 and Matthews' coefficient need.

    Args:
        prediction: predicted classes, (N,)
        target: gold classes, (N,)
        num_classes: C; of two, the class 1 is the positive one
    Returns:
        scalars, which stay on their device: ``correct`` and ``total``; for two classes also ``tp``,
        ``fp``, ``fn`` and ``tn``
    """
    hit = prediction.eq(target)
    counts = {"correct": hit.sum(), "total": target.new_tensor(target.numel())}
    if num_classes == 2:
        tp = (hit & target.eq(1)).sum()
        counts |= {"tp": tp, "fp": prediction.sum() - tp, "fn": target.sum() - tp}
        counts["tn"] = counts["correct"] - tp
    return counts


def number_sums(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The sums that Pearson's coefficient needs: scalars in float64, on their device.

    Args:
        prediction: predicted numbers x, (N,)
        target: gold numbers y, (N,)
    """
    x, y = prediction.double(), target.double()
    terms = {"n": torch.ones_like(x), "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return {name: term.sum() for name, term in terms.items()}


def scores(sums: Mapping[str, float]) -> dict[str, float]:
    """The statistics that these sums allow, by name, in per cent.

    Args:
        sums: added up from :func:`class_counts` or :func:`number_sums`
    """
    if "n" in sums:
        names = ("n", "x", "y", "xx", "yy", "xy")
        return {"pearson": 100 * pearson(*(sums[name] for name in names))}
    values = {"accuracy": 100 * accuracy(sums["correct"], sums["total"])}
    if "tp" in sums:
        tp, fp, fn, tn = (sums[name] for name in ("tp", "fp", "fn", "tn"))
        values |= {"f1": 100 * f1(tp, fp, fn), "mcc": 100 * matthews(tp, fp, fn, tn)}
    return values
