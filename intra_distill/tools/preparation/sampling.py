"""Draws random subsets of a stream in constant memory."""

import random
from collections.abc import Iterator

SEED = 1


def sample_mask(number: int, total: int) -> Iterator[bool]:
    """Yield for each of ``total`` items whether it is among the ``number`` that are drawn.

    All subsets are equally likely (Knuth, The Art of Computer Programming 3.4.2, algorithm S). The
    same two numbers give the same subset on every machine: Python guarantees that ``random()`` of
    a seed does not change.
    """
    generator = random.Random(SEED)
    for left in range(total, 0, -1):
        drawn = left * generator.random() < number
        number -= drawn
        yield drawn
