"""Random draws that need to hold neither what they draw from nor what they draw."""

import random
from collections.abc import Iterator

SEED = 1


def draw(number: int, total: int) -> Iterator[bool]:
    """Yield for each of ``total`` things whether it is among the ``number`` that are drawn.

    All subsets are equally likely (Knuth, The Art of Computer Programming 3.4.2, algorithm S).
    The same two numbers give the same draw everywhere: Python keeps ``random()`` as it is.
    """
    generator = random.Random(SEED)
    for left in range(total, 0, -1):
        drawn = left * generator.random() < number
        number -= drawn
        yield drawn
