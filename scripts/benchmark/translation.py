"""Compare fairseq's translations of a text with those of its export: equality, BLEU, time.

    python scripts/benchmark/translation.py DATA CHECKPOINT text.de text.en

Both search on one core, in turns, in batches of as many tokens. Reading the models is not timed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import ctranslate2
import sacrebleu
import torch

from intra_distill.files import read_lines
from intra_distill.tools.deployment.converted import QUANTIZATIONS, write_converted
from intra_distill.tools.deployment.translator import Translator
from intra_distill.tools.preparation.pieces import PieceEncoder
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import PIECES
from intra_distill.tools.scoring.search import Search, quieten_fairseq
from intra_distill.tools.scoring.translations import PreparedTranslations

Translate = Callable[[], list[str]]


def fairseq_search(data: Path, checkpoint: Path, beam: int, lines: list[str]) -> Translate:
    """Return what translates lines by fairseq's generator."""
    translator = Translator(data, [checkpoint], Search(beam=beam), Inference(cpu=True))
    text = [f"{line}\n".encode() for line in lines]
    return lambda: [found[0].text if found else "" for found in translator.stream(text, len(text))]


def exported_search(data: Path, model: Path, beam: int, lines: list[str]) -> Translate:
    """Return what translates lines by a converted model."""
    encoder = PieceEncoder(data)
    translator = ctranslate2.Translator(str(model), intra_threads=1, inter_threads=1)

    def search() -> list[str]:
        found = translator.translate_batch(
            [encoder(line) for line in lines],
            max_batch_size=Inference.max_tokens,
            batch_type="tokens",
            beam_size=beam,
            max_decoding_length=PIECES,
        )
        return ["".join(each.hypotheses[0]).replace("▁", " ").strip() for each in found]

    return search


def timed(search: Translate) -> tuple[list[str], float]:
    """What a search finds, and the seconds that this process computed for it."""
    start = time.process_time()
    found = search()
    return found, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("source", type=Path, help="text in the source language")
    parser.add_argument("reference", type=Path, help="its translation")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--quantization", nargs="+", choices=QUANTIZATIONS, default=["float32", "int8"]
    )
    args = parser.parse_args()
    quieten_fairseq()
    torch.set_num_threads(1)
    lines, reference = list(read_lines(args.source)), list(read_lines(args.reference))
    translations = PreparedTranslations(args.data, Search(), Inference(cpu=True), None)
    model = translations.open(args.checkpoint).model
    with tempfile.TemporaryDirectory() as folder:
        models = {name: Path(folder, name) for name in args.quantization}
        for name, path in models.items():
            path.mkdir()
            write_converted(model, translations.task, name, path)
        for beam in args.beams:
            searches = {"fairseq": fairseq_search(args.data, args.checkpoint, beam, lines)}
            for name, path in models.items():
                searches[name] = exported_search(args.data, path, beam, lines)
            report(beam, searches, reference, args.rounds)


def report(beam: int, searches: dict[str, Translate], reference: list[str], rounds: int) -> None:
    """Run the searches in turns, and print what each finds and takes."""
    found: dict[str, list[str]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(rounds):
        for name, search in searches.items():
            found[name], elapsed = timed(search)
            seconds[name].append(elapsed)
    for name, hypotheses in found.items():
        bleu = sacrebleu.corpus_bleu(hypotheses, [reference]).score
        differ = sum(map(str.__ne__, hypotheses, found["fairseq"]))
        print(
            f"beam {beam} {name:10} BLEU {bleu:.2f}  {differ:4} of {len(reference)} differ  "
            f"{median(seconds[name]):6.1f} s  "
            f"{median(seconds['fairseq']) / median(seconds[name]):5.1f} times as fast"
        )


if __name__ == "__main__":
    main()
