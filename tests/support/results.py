"""Results of evaluations that nobody made, where a recipe would have them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from intra_distill.files import sha256
from intra_distill.tools.config import System
from intra_distill.tools.scoring.metrics import (
    DEFAULT_METRICS,
    METRICS,
    Text,
    build_scorers,
    signatures_of,
)
from intra_distill.tools.scoring.results import Checkpoint, Result, TestSet, write_result

REFERENCES = [f"the {animal} sleeps here today" for animal in "cat dog cow hen fox pig".split()] * 5
WORSE = [line.replace("today", "tonight") if i % 3 else line for i, line in enumerate(REFERENCES)]
SCORERS = build_scorers(METRICS, Text("en", True, "13a"), REFERENCES)
SIGNATURES = signatures_of(SCORERS)


def make_result(
    system: str = "transformer",
    dataset: str = "de-en",
    seed: int = 1,
    bleu: float = 30.0,
    chrf: float = 50.0,
    parameters: int = 49_976_832,
    num_passes: int = 1,
    **changes: Any,
) -> Result:
    """A result with nothing behind it; ``changes`` are its other fields."""
    source_lang, target_lang = dataset.split("-")
    result = Result(
        system=system,
        overrides=list(System.of(system).overrides),
        task="translation",
        dataset=dataset,
        primary_metric="BLEU",
        scores={"BLEU": bleu, "chrF": chrf},
        signatures={name: SIGNATURES[name] for name in DEFAULT_METRICS},
        tokenizer="13a",
        significance=None,
        test_set=TestSet(
            data="/nowhere",
            subset="test",
            source_lang=source_lang,
            target_lang=target_lang,
            lowercase=True,
            sentencepiece_text="train",
            sentences=len(REFERENCES),
            source_sha256="a",
            references=f"test.ref.{target_lang}",
            references_sha256=f"references of {dataset}",
        ),
        checkpoint=Checkpoint(
            path="c.pt",
            sha256="c",
            seed=seed,
            updates=4500,
            training_seconds=754.6,
            parameters=parameters,
            num_passes=num_passes,
        ),
        beam=5,
        lenpen=1.0,
        max_len_a=None,
        max_len_b=None,
        hypotheses=f"test.hyp.{target_lang}",
        hypotheses_sha256=f"{system} {dataset} {seed}",
        cut_hypotheses=0,
        unknown_hypotheses=0,
        generator_arguments=[],
        versions={},
    )
    return replace(result, **changes)


def in_metrics(result: Result, scores: dict[str, float]) -> Result:
    """The result in other metrics, the first of which is its primary one."""
    signatures = {name: SIGNATURES[name] for name in scores}
    return replace(result, scores=scores, signatures=signatures, primary_metric=next(iter(scores)))


def compared(result: Result, bleu: float, chrf: float = 0.5, system: str = "transformer") -> Result:
    """The result with p-values against the same seed of a system, as evaluate stores them."""
    seed = result.checkpoint.seed
    return replace(
        result,
        significance={
            "baseline": "test.json",
            "baseline_system": system,
            "baseline_hypotheses_sha256": f"{system} {result.dataset} {seed}",
            "tests": {"BLEU": {"p_value": bleu}, "chrF": {"p_value": chrf}},
        },
    )


def put(folder: Path, result: Result) -> Path:
    """Write a result where a recipe has it: DATASET/SYSTEM/seedN/test.json."""
    seed = f"seed{result.checkpoint.seed}"
    path = folder / result.dataset / result.system / seed / "test.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_result(path, result)
    return path


def put_scored(folder: Path, system: str, hypotheses: list[str], seed: int = 1) -> Path:
    """Write a result with its hypotheses, and its references in ``folder/data``."""
    references = folder / "data" / "test.ref.en"
    references.parent.mkdir(parents=True, exist_ok=True)
    references.write_text("".join(f"{line}\n" for line in REFERENCES), encoding="utf-8")
    result = make_result(system, seed=seed, bleu=10.0 * (system != "transformer"))
    test_set = replace(
        result.test_set, data=str(references.parent), references_sha256=sha256(references)
    )
    path = put(folder / "runs", result)
    path.with_name("test.hyp.en").write_text("".join(f"{line}\n" for line in hypotheses))
    digest = sha256(path.with_name("test.hyp.en"))
    return put(folder / "runs", replace(result, test_set=test_set, hypotheses_sha256=digest))
