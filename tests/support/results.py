"""Results of evaluations that nobody made, where a recipe would have them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from intra_distill.files import sha256
from intra_distill.tools.config import System
from intra_distill.tools.scoring.metrics import (
    DEFAULT_METRICS,
    METRICS,
    Answers,
    Classes,
    Kind,
    Numbers,
    Scorer,
    Tags,
    Text,
    build_scorers,
    signatures_of,
)
from intra_distill.tools.scoring.results import (
    Checkpoint,
    Result,
    SearchRecord,
    TestSet,
    TextRecord,
    write_result,
)

REFERENCES = [f"the {animal} sleeps here today" for animal in "cat dog cow hen fox pig".split()] * 5
WORSE = [line.replace("today", "tonight") if i % 3 else line for i, line in enumerate(REFERENCES)]


def scorers_of(kind: Kind, references: list[str]) -> dict[str, Scorer]:
    """The scorers of all metrics of a kind of output."""
    names = [name for name, metric in METRICS.items() if not metric.obstacle(kind)]
    return build_scorers(names, kind, references)


SCORERS = scorers_of(Text("en", True, "13a"), REFERENCES)
SIGNATURES = signatures_of(SCORERS)
CLASSES = {"rte": ("entailment", "not_entailment"), "mrpc": ("0", "1"), "cola": ("0", "1")}
CLASSES |= dict.fromkeys(("mnli-m", "mnli-mm"), ("contradiction", "entailment", "neutral"))


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
        primary_metric="BLEU",
        scores={"BLEU": bleu, "chrF": chrf},
        signatures={name: SIGNATURES[name] for name in DEFAULT_METRICS},
        tokenizer="13a",
        significance=None,
        test_set=TestSet(
            data="/nowhere",
            subset="test",
            dataset=dataset,
            sentences=len(REFERENCES),
            input_sha256={f"test.{dataset}.{source_lang}.bin": "a"},
            references=f"test.ref.{target_lang}",
            references_sha256=f"references of {dataset}",
            text=TextRecord(
                source_lang=source_lang,
                target_lang=target_lang,
                lowercase=True,
                sentencepiece_text="train",
                post_process="sentencepiece",
                detokenizer=None,
                source=f"test.src.{source_lang}",
                source_sha256=f"source of {dataset}",
            ),
            classes=None,
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
        members=(),
        output=f"test.hyp.{target_lang}",
        output_sha256=f"{system} {dataset} {seed}",
        search=SearchRecord(
            beam=5,
            lenpen=1.0,
            max_len_a=None,
            max_len_b=None,
            cut_hypotheses=0,
            unknown_hypotheses=0,
            nbest=1,
            generator_arguments=[],
        ),
        segment_scores={},
        versions={},
    )
    return replace(result, **changes)


def make_prediction(
    system: str = "plain",
    dataset: str = "rte",
    seed: int = 1,
    subset: str = "valid",
    **scores: float,
) -> Result:
    """A result of a data set of GLUE with nothing behind it; the first metric is primary."""
    scores = scores or {"accuracy": 70.0}
    result = make_result(system, seed=seed)
    classes = CLASSES.get(dataset)
    kind = Numbers() if classes is None else Classes(classes)
    gold = list(classes or "12") * len(dataset)  # data sets differ in their signatures
    signatures = signatures_of(scorers_of(kind, gold))
    return replace(
        result,
        task="sentence_prediction",
        primary_metric=next(iter(scores)),
        scores=scores,
        signatures={name: signatures[name] for name in scores},
        tokenizer=None,
        test_set=replace(
            result.test_set,
            subset=subset,
            dataset=dataset,
            sentences=len(gold),
            input_sha256={f"input0/{subset}.bin": "a"},
            references=f"{subset}.ref",
            references_sha256=f"labels of {dataset}",
            text=None,
            classes=classes,
        ),
        output=f"{subset}.pred",
        output_sha256=f"{system} {dataset} {seed}",
        search=None,
    )


def make_language(
    system: str = "plain", language: str = "ar", metric: str = "entity-F1", **changes: Any
) -> Result:
    """A result on the test set of a language, of tags or of answers, with nothing behind it."""
    classes = ("O", "B-PER", "I-PER") if metric == "entity-F1" else None
    gold = ["O B-PER" if classes else '["x"]'] * (20 + len(language))
    result = make_prediction(system, language, subset=f"test-{language}", Pearson=60.0)
    return replace(
        result,
        task="tagging" if classes else "span_prediction",
        primary_metric=metric,
        scores={metric: 60.0},
        signatures=signatures_of(
            build_scorers([metric], Tags(classes) if classes else Answers(), gold)
        ),
        test_set=replace(result.test_set, classes=classes, sentences=len(gold)),
        **changes,
    )


def searched(result: Result, **changes: Any) -> Result:
    """The result of another search."""
    return replace(result, search=replace(result.search, **changes))


def in_metrics(result: Result, scores: dict[str, float]) -> Result:
    """The result in other metrics, the first of which is its primary one."""
    signatures = {name: SIGNATURES[name] for name in scores}
    return replace(result, scores=scores, signatures=signatures, primary_metric=next(iter(scores)))


def compared(
    result: Result, first: float, rest: float = 0.5, system: str = "transformer"
) -> Result:
    """The result with p-values against the same seed of a system, as evaluate stores them.

    ``first`` is of its first metric, ``rest`` of the others.
    """
    seed = result.checkpoint.seed
    return replace(
        result,
        significance={
            "baseline": "test.json",
            "baseline_system": system,
            "baseline_output_sha256": f"{system} {result.dataset} {seed}",
            "tests": {
                name: {"p_value": rest if i else first} for i, name in enumerate(result.scores)
            },
        },
    )


def put(folder: Path, result: Result) -> Path:
    """Write a result where a recipe has it: DATASET/SYSTEM/seedN/SUBSET.json."""
    seed = f"seed{result.checkpoint.seed}"
    path = folder / result.dataset / result.system / seed / f"{result.test_set.subset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_result(path, result)
    return path


def put_scored(folder: Path, system: str, hypotheses: list[str], seed: int = 1) -> Path:
    """Write a result with its hypotheses and its references."""
    result = make_result(system, seed=seed, bleu=10.0 * (system != "transformer"))
    path = put(folder / "runs", result)
    references = path.with_name("test.ref.en")
    references.write_text("".join(f"{line}\n" for line in REFERENCES), encoding="utf-8")
    test_set = replace(result.test_set, references_sha256=sha256(references))
    path.with_name("test.hyp.en").write_text("".join(f"{line}\n" for line in hypotheses))
    digest = sha256(path.with_name("test.hyp.en"))
    return put(folder / "runs", replace(result, test_set=test_set, output_sha256=digest))
