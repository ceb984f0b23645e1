"""The commands of intra-distill: of each a command line that works on the finished work."""

from intra_distill import cli

CHECKPOINT = "runs/plain/checkpoint_best.pt"
PREDICTOR = "predictor/checkpoint_last.pt"
SCORES = "sensitivity/plain.sensitivity.pt"
SEARCH = {"--beam": "1", "--cpu": True}

Changes = dict[str, str | list[str] | bool | None]

WORKING: dict[str, Changes] = {
    "prepare": {
        "--source-lang": "de",
        "--target-lang": "en",
        "--train": "raw/train",
        "--valid": "raw/valid",
        "--test": "raw/test",
        "--vocab-size": "90",
        "--workers": "1",
        "--destdir": "new",
    },
    "prepare-multilingual": {
        "--lang-pairs": "de-en,en-de",
        "--train": "raw/train",
        "--valid": "raw/valid",
        "--test": "raw/test",
        "--vocab-size": "90",
        "--workers": "1",
        "--destdir": "new",
    },
    "add-test": {"data": "bin", "--test": "raw/train"},
    "encode": {"data": "bin"},
    "translate": {"data": "bin", "--path": [CHECKPOINT], **SEARCH},
    "export": {"checkpoint": CHECKPOINT, "--output-dir": "new"},
    "args": {"config": "config.yaml"},
    "evaluate": {"data": "bin", "--path": [CHECKPOINT], "--results-path": "new", **SEARCH},
    "average": {"--inputs": [CHECKPOINT, "runs/other/checkpoint_best.pt"], "--output": "new.pt"},
    "table": {"paths": ["runs"], "--csv": "new.csv", "--plot": "new.png"},
    "plot loss": {"paths": ["runs"], "--plot": "new.png"},
    "plot bleu": {"paths": ["runs"], "--plot": "new.png"},
    "plot sensitivity": {"paths": ["runs"], "--plot": "new.png"},
    "plot passes": {"data": "bin", "--path": [CHECKPOINT], "--plot": "new.png"},
    "plot alpha": {"config": "config.yaml", "--plot": "new.png"},
    "sensitivity": {
        "data": "bin",
        "--path": [CHECKPOINT],
        "--batches": "1",
        "--results-path": "new",
        "--cpu": True,
    },
    "prune": {
        "data": "bin",
        "--path": [CHECKPOINT],
        "--sensitivity": [SCORES],
        "--ratios": "0.5",
        "--results-path": "new",
        **SEARCH,
    },
    "toy-corpus": {"--destdir": "new", "--train": "5", "--valid": "5", "--test": "5"},
    "iwslt14": {"--pair": "de-en", "--destdir": "new", "--source": "strange"},
    "wmt17": {"--destdir": "new", "--source": "strange"},
    "panx": {
        "--destdir": "new",
        "--source": "panx",
        "--languages": "de,ar",
        "--test-split": "dev",
    },
    "prepare-tags": {"raw": "tagged", "--xlmr": "xlmr", "--max-length": "64", "--destdir": "new"},
    "bert": {"--destdir": "new", "--source": "hugging_face"},
    "xlmr": {"--destdir": "new", "--source": "xlmr", "--size": "large"},
    "glue": {
        "--task": "rte",
        "--bert": "bert",
        "--source": "glue",
        "--max-length": "64",
        "--destdir": "new",
    },
    "glue-submission": {
        "--data": ["rte=labelled"],
        "--path": [f"rte={PREDICTOR}"],
        "--output": "new.zip",
        "--fill": True,
        "--cpu": True,
    },
    "tydiqa": {"--destdir": "new", "--source": "tydiqa"},
    "xquad": {
        "--destdir": "new",
        "--source": "xquad",
        "--languages": "ar,en",
        "--train-articles": "3",
        "--valid-articles": "1",
    },
    "prepare-spans": {"raw": "questions", "--xlmr": "xlmr", "--destdir": "new"},
    "user-dir": {},
}


def takes_several(command: str, option: str) -> bool:
    return isinstance(WORKING[command].get(option), list)


def command_line(command: str, changes: Changes) -> list[str]:
    """The working command line of a command with other values; None leaves an option out."""
    argv, positional = command.split(), []
    for name, value in {**WORKING[command], **changes}.items():
        values = value if isinstance(value, list) else [value]
        if not name.startswith("--"):
            positional += values
        elif value is True:
            argv.append(name)
        elif len(values) > 1:
            argv += [name, *values]
        elif value is not None:
            argv.append(f"{name}={values[0]}")
    return [*argv, "--", *positional] if positional else argv


def run(argv: list[str]) -> tuple[int, str]:
    """Run a command in this process → its exit code, and the line that Python would print."""
    try:
        cli.main(argv)
    except SystemExit as ending:
        return (1, ending.code) if isinstance(ending.code, str) else (ending.code, "")
    return 0, ""
