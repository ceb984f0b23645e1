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


def entity_counts(
    prediction: Tensor, target: Tensor, first: Tensor, begins: Tensor, types: Tensor
) -> dict[str, Tensor]:
    """The sums that the F1 of entities needs, of words that are tagged with B-TYPE, I-TYPE or O.

    An entity is right if its first word, its last word and its type are. As in seqeval's default
    mode, it begins at a B-, and at an I- that follows O or another type.

    Args:
        prediction: predicted classes of the words of all sentences, in order, (N,)
        target: gold classes, (N,)
        first: whether a word is the first of its sentence, (N,)
        begins: whether a class is a B-, (C,)
        types: the number of the type of a class, −1 for O, (C,)
    Returns:
        scalars, which stay on their device: the entities ``right``, ``predicted`` and ``gold``
    """

    def entities(tags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where entities start; where the one that starts there ends, excluded; and types."""
        N = len(tags)
        kind = types[tags]
        previous = kind.roll(1).masked_fill(first, -1)
        starts = (kind >= 0) & (begins[tags] | (previous != kind))
        positions = torch.arange(N, device=tags.device)
        stops = positions.masked_fill((kind >= 0) & ~starts, N)  # no entity goes on there
        next_stop = stops.flip(0).cummin(0).values.flip(0)[1:]
        return starts, torch.cat([next_stop, stops.new_tensor([N])]), kind

    (ours, our_ends, our_kind), (gold, gold_ends, gold_kind) = map(entities, (prediction, target))
    right = ours & gold & (our_ends == gold_ends) & (our_kind == gold_kind)
    return {"right": right.sum(), "predicted": ours.sum(), "gold": gold.sum()}


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
        sums: added up from :func:`class_counts`, also with :func:`entity_counts`, or from
            :func:`number_sums`
    """
    if "n" in sums:
        names = ("n", "x", "y", "xx", "yy", "xy")
        return {"pearson": 100 * pearson(*(sums[name] for name in names))}
    values = {"accuracy": 100 * accuracy(sums["correct"], sums["total"])}
    if "tp" in sums:
        tp, fp, fn, tn = (sums[name] for name in ("tp", "fp", "fn", "tn"))
        values |= {"f1": 100 * f1(tp, fp, fn), "mcc": 100 * matthews(tp, fp, fn, tn)}
    if "gold" in sums:
        right, predicted, gold = (sums[name] for name in ("right", "predicted", "gold"))
        values["entity_f1"] = 100 * f1(right, predicted - right, gold - right)
    return values
