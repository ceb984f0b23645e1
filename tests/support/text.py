"""Small parallel text for tests, German and English by name only."""

import random
from pathlib import Path


def toy_pairs(number: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of 2 to 8 words, of which the target side has the letters reversed."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 5))) for _ in range(60)]
    sentences = [rng.choices(words, k=rng.randint(2, 8)) for _ in range(number)]
    return [(" ".join(s).title(), " ".join(word[::-1] for word in s)) for s in sentences]


def write_pairs(prefix: Path | str, pairs: list[tuple[str, str]], end: str = "\n") -> None:
    for lang, side in zip(("de", "en"), zip(*pairs)):
        Path(f"{prefix}.{lang}").write_bytes("".join(line + end for line in side).encode())
