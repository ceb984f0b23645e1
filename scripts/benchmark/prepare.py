"""Measure the time and memory of each step of `intra-distill prepare` on generated text.

    python scripts/benchmark/prepare.py [--pairs N…] [--destdir DIR] [prepare's options…]

For each number of pairs and each step it prints the seconds, the pairs per second and the peak
memory of all processes together (PSS, which counts a shared page once). Linux only.
"""

import argparse
import itertools
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STEPS = {  # each ends when its file exists
    "check and filter": ".partial/counts.json",
    "learn SentencePiece": "sentencepiece.vocab",
    "encode": "prepare.json",
}


def sentence_pairs(seed: int) -> Iterator[tuple[str, str]]:
    """Generate pairs of about 20 Zipf-distributed words; 3 % differ too much in length."""
    rng = random.Random(seed)
    syllables = ["".join(s) for s in itertools.product("bdfgklmnprst", "aeiouäö", ["", "n", "r"])]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(100_000)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))

    def sentence(length: int) -> str:
        text = " ".join(rng.choices(words, cum_weights=weights, k=length))
        return (text.replace(" b", ", b", 1) + rng.choice(".....?!")).capitalize()

    while True:
        length = max(1, round(rng.lognormvariate(2.9, 0.6)))
        other = round(length * rng.uniform(0.85, 1.15)) if rng.random() > 0.03 else length // 3
        yield sentence(length), sentence(other) if other else ""


def generate(prefix: Path, number: int, seed: int) -> None:
    with open(f"{prefix}.de", "w") as source_file, open(f"{prefix}.en", "w") as target_file:
        for source, target in itertools.islice(sentence_pairs(seed), number):
            source_file.write(f"{source}\n")
            target_file.write(f"{target}\n")


def memory(process: int) -> int:
    """The memory of a process and its descendants, in kB."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has just ended
        return 0
    own = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own + sum(memory(int(child)) for child in children)


def measure(pairs: int, directory: Path, options: list[str]) -> None:
    for seed, (split, number) in enumerate({"train": pairs, "test": 3000}.items()):
        generate(directory / split, number, seed)
    data = directory / "bin"
    command = ["intra-distill", "prepare", "--source-lang", "de", "--target-lang", "en"]
    command += ["--train", str(directory / "train"), "--test", str(directory / "test")]
    command += ["--hold-out", "3000", "--destdir", str(data), *options]
    process = subprocess.Popen(command)
    for step, last_file in STEPS.items():
        start, peak = time.monotonic(), 0
        while process.poll() is None and not (data / last_file).exists():
            peak = max(peak, memory(process.pid))
            time.sleep(0.1)
        seconds = time.monotonic() - start
        figures = f"{seconds:7.1f} | {pairs / seconds:9,.0f} | {peak / 1000:8,.0f}"
        print(f"{pairs:9,} | {step:19} | {figures}", flush=True)
    if process.wait():
        raise SystemExit(process.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[250_000, 1_000_000], metavar="N")
    parser.add_argument("--destdir", type=Path, metavar="DIR", help="for files (default: in /tmp)")
    args, options = parser.parse_known_args()
    options = options or "--vocab-size 32000 --sentencepiece-sample 200000".split()
    print(" ".join(options))
    print("    pairs | step                | seconds | pairs/s   | peak, MB")
    for pairs in args.pairs:
        directory = Path(tempfile.mkdtemp(dir=args.destdir))
        measure(pairs, directory, options)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
