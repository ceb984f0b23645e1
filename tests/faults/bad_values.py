"""What options cannot be: of each command, option and message, the values that it refuses so."""

from collections.abc import Iterator

from ..support.commands import CHECKPOINT, PREDICTOR, SCORES, WORKING, Changes, takes_several
from ..support.sentences import CLASSES
from ..support.tokens import TAGS
from ..support.training import INTRA, TASK
from ..support.trilingual import LANGUAGES

HUGE = "1" + "0" * 30
LONG = "x" * 300  # a longer name than files can have

Refusals = dict[str, dict[str, list[str]]]  # option → message → values

# bad usage, of which argparse reminds
NUMBERS = {
    "prepare": "--vocab-size --workers --max-ratio --max-length --train-pairs --hold-out "
    "--hold-out-every --sentencepiece-sample",
    "prepare-multilingual": "--vocab-size --workers --max-ratio --max-length --train-pairs "
    "--sentencepiece-sample",
    "evaluate": "--nbest --beam --lenpen --max-tokens --max-len-a --max-len-b",
    "translate": "--nbest --beam --lenpen --max-tokens --max-len-a --max-len-b --buffer-size",
    "average": "--num-epoch-checkpoints --num-update-checkpoints --checkpoint-upper-bound",
    "plot passes": "--num-passes --line --seed",
    "plot alpha": "--updates",
    "sensitivity": "--batches --seed --max-tokens",
    "prune": "--beam --lenpen --max-tokens --max-len-a --max-len-b --seed",
    "toy-corpus": "--train --valid --test --seed",
    "glue-submission": "--max-tokens",
    "glue": "--max-length",
    "xquad": "--train-articles --valid-articles",
    "prepare-spans": "--max-length --doc-stride --max-query-length",
    "prepare-tags": "--max-length",
}
FLAGS = {
    "prepare": "--lowercase",
    "prepare-multilingual": "--lowercase",
    "args": "--generation --hydra",
    "evaluate": "--cpu --detokenize --lowercase",
    "translate": "--cpu",
    "sensitivity": "--cpu --dropout --mean-of-absolute",
    "prune": "--cpu --write-checkpoint",
    "glue-submission": "--cpu --fill",
}
CHOICES = [
    ("prepare", "--normalization", "nfd"),
    ("prepare", "--sentencepiece-text", "some"),
    ("prepare-multilingual", "--normalization", "nfd"),
    ("prepare-multilingual", "--sentencepiece-text", "some"),
    ("evaluate", "--tokenize", "14a"),
    ("evaluate", "--metrics", "bleu"),
    ("evaluate", "--post-process", "@@ "),
    ("export", "--quantization", "int4"),
    ("prune", "--tokenize", "14a"),
    ("prune", "--metrics", "bleu"),
    ("prune", "--order", "size"),
    ("plot loss", "--log-key", "bleu"),
    ("iwslt14", "--pair", "de-de"),
    ("xlmr", "--size", "small"),
    ("panx", "--test-split", "train"),
    *(("glue", "--task", task) for task in ("wnli", "RTE", "mnli-m")),
]
NAMES_OF_NOTHING = [
    *(("table", option) for option in ("--systems", "--datasets", "--gen-subset")),
    ("evaluate", "--gen-subset"),
    ("xquad", "--languages"),
    ("panx", "--languages"),
]

# what several options refuse
NO_CHECKPOINT = {
    "there is no such checkpoint": ["strange/none", "strange", "strange/loop.de"],
    "is a pipe or a device": ["strange/pipe"],
    "is not a PyTorch checkpoint": ["raw/train.de", "strange/empty.de"],
    "File name too long": [LONG],
}
NO_RESULT = {
    "No such file": ["strange/none"],
    "Too many levels": ["strange/loop.de"],
    "is a pipe or a device": ["strange/pipe", "strange/zero.de"],
    "is not a result of intra-distill evaluate": [
        *["raw/train.de", "strange/empty.de", "strange/utf16.de", "sensitivity/sensitivity.json"]
    ],
    "File name too long": [LONG],
}
NO_RESULTS = NO_RESULT | {"holds no test.json": ["strange"]}
NO_OUTPUT = {
    "there is a folder of that name": ["strange"],
    "is a pipe or a device": ["strange/pipe"],
}
NO_PICTURE = NO_OUTPUT | {
    "there is no folder none": ["none/x.png"],
    "there is no folder": ["raw/train.de/x.png"],
    "call it .png": ["new", "new.xyz"],
    "File name too long": [LONG + ".png"],
}
NO_FOLDER = {
    "--results-path raw/train.de: File exists": ["raw/train.de"],
    "Not a directory": ["raw/train.de/x"],
    "File exists": ["strange/loop.de"],
    "is a pipe or a device": ["strange/pipe"],
    "File name too long": [LONG],
}
NO_DATA = {
    "there is no such data directory": ["none", "raw/train.de"],
    "is not a data directory": ["raw"],
    "is a pipe or a device": ["strange/pipe"],
    "File name too long": [LONG],
}
NO_LOG = {
    "/none: No such file": ["none"],
    "holds no train.log": ["strange"],
    "Too many levels": ["strange/loop.de"],
    "is a pipe or a device": ["strange/pipe", "strange/zero.de"],
    "no log of fairseq-train or": ["raw/train.de", "strange/utf16.de", "strange/empty.de"],
    "File name too long": [LONG],
}
NO_LANGUAGE = {
    "'{value}': fairseq finds a language": ["d/e", "-de", "d e", "zh-CN", "d.e", "../de"],
}
NO_TEXT = {
    "cannot read {value}.de: No such file": ["strange/none"],
    "{value}.de is not a file": ["strange/folder", "strange/pipe", "strange/zero"],
    "cannot read {value}.de: Too many levels": ["strange/loop"],
    "{value}.de, line 1: not UTF-8": ["strange/utf16", "strange/latin1", "strange/surrogate"],
    "{value}.de, line 1: a byte order mark or NUL": ["strange/utf16_ascii", "strange/bom"],
    "are empty": ["strange/empty"],
    "strange/short.de has 1 lines but strange/short.en has 2": ["strange/short"],
}
TEXT_OF_PAIR = {message: values for message, values in NO_TEXT.items() if "No such" not in message}
NO_NAMES = {
    "--names has 2 names for 1 checkpoints": ["a,b"],
    "which is no file name": ["a/b", ".."],
}
NO_SEED = {"must be from 0 to 2^": ["-1", HUGE]}
NO_PAIRS = {"at least 1": ["0", "-1"], "add up to": [HUGE]}

NOT_PREPARED = {
    "has no prepare.json": ["none", "raw", "raw/train.de"],
    "is not what intra-distill prepare wrote": ["strange/broken"],
    "Too many levels": ["strange/loop.de"],
    "is a pipe or a device": ["strange/pipe"],
    "File name too long": [LONG],
}

BEAM_SEARCH: Refusals = {  # evaluate, prune, translate
    "--beam": {"must be at least 1": ["0", "-1"], "must be at most 1000": ["1001", HUGE]},
    "--lenpen": {"must be from 0 to 100": ["nan", "-0.1", "inf", "1e308"]},
    "--max-len-a": {
        "must be at least 0": ["nan", "-0.1", "-inf"],
        "must be at most 10000": ["inf", "1e308"],
    },
    "--max-len-b": {"must be at least 1": ["0", "-1"], "must be at most 10000": [HUGE]},
    "data": NOT_PREPARED,
    "--path": NO_CHECKPOINT,
}
SEARCHING: Refusals = {  # evaluate, prune
    **BEAM_SEARCH,
    "--max-tokens": {
        "must be at least 1": ["0"],
        "must be at most": [HUGE],
        "more than --max-tokens 2: raise it": ["2"],
    },
    "--gen-subset": {"has no subset": ["none", "train", "../bin/test", "*", LONG]},
    "--results-path": NO_FOLDER,
}
FETCHING: Refusals = {  # iwslt14, wmt17, bert, xlmr, glue, panx, tydiqa, xquad
    "--destdir": {
        "raw holds other files": ["raw"],
        "is not a directory": ["raw/train.de"],
        "Not a directory": ["raw/train.de/x"],
        "is a pipe or a device": ["strange/pipe"],
        "File name too long": [LONG],
    },
    "--downloads": {"is a pipe or a device": ["strange/pipe"]},
}
NO_SUCH_FOLDER = {
    "{value}: there is no such folder": [
        *["none", "raw/train.de", "strange/loop.de", "strange/pipe", LONG]
    ],
}
PREPARING = {
    "--max-ratio": {"must be at least 1": ["nan", "0.99", "-inf"]},
    "--max-length": {"must be at least 1": ["0", "-1"]},
    "--train-pairs": {"must be at least 1": ["0"], "the largest possible is": ["1"]},
    "--sentencepiece-sample": {"must be at least 1": ["-5"], "the largest possible is": ["1"]},
    "--workers": {"must be at least 1": ["0"], "must be at most 1024": [HUGE]},
    "--vocab-size": {
        "must be at least 4": ["3", "-1"],
        "must be at most 1000000": ["1000001", HUGE],
        "the largest possible is": ["5000"],
    },
    "--destdir": {
        "raw holds other files": ["raw"],
        "is not a directory": ["raw/train.de"],
        "Not a directory": ["raw/train.de/x"],
        "Too many levels": ["strange/loop.de"],
        "is a pipe or a device": ["strange/pipe"],
        "choose another name": ["a,b"],
        "File name too long": [LONG],
    },
}
REFUSED: dict[str, Refusals] = {
    "prepare": {
        "--source-lang": {
            "--source-lang and --target-lang are both en": ["en"],
            **{f"--source-lang {message}": values for message, values in NO_LANGUAGE.items()},
        },
        "--target-lang": {f"--target-lang {m}": values for m, values in NO_LANGUAGE.items()},
        "--train": {**NO_TEXT, "the largest possible is": ["strange/one"]},
        "--valid": NO_TEXT,
        "--test": {
            **NO_TEXT,
            "--test names raw/test 2 times": ["raw/test,raw/test"],
            "cannot read .de": ["raw/test,"],
        },
        **PREPARING,
        "--hold-out": {"not --valid and --hold-out": ["5"]},
    },
    "prepare-multilingual": {
        "--lang-pairs": {
            "'de' is no pair: write SOURCE-TARGET": ["de", "de,en-de", "de-en,de"],
            "'{value}' is no pair: write SOURCE-TARGET": ["-", "de-", "de-en-fr", " "],
            "'' is no pair": [","],
            "de-de translates de into itself": ["de-de"],
            "names de-en 2 times": ["de-en,de-en"],
            "fairseq finds a language in file names only": ["de-e.n", "../x-en"],
            "has no text of fr-es: there is neither": ["fr-es"],
            "No such file": ["de-fr"],
        },
        "--train": {"--train {value} has no text": ["strange/none"], **TEXT_OF_PAIR},
        "--valid": {"--valid {value} has no text": ["strange/none"], **TEXT_OF_PAIR},
        "--test": {
            **TEXT_OF_PAIR,
            "--test names raw/test 2 times": ["raw/test,raw/test"],
            "--test has no text": ["raw/test,"],
        },
        **PREPARING,
    },
    "add-test": {
        "data": NOT_PREPARED,
        "--test": {**NO_TEXT, "cannot read .de": ["raw/test,"]},
    },
    "encode": {"data": NOT_PREPARED},
    "translate": {
        **BEAM_SEARCH,
        "--max-tokens": {"must be at least 1": ["0", "-1"], "must be at most": [HUGE]},
        "--nbest": {"must be at least 1": ["0", "-1"], "is more than --beam 1 finds": ["2", HUGE]},
        "--buffer-size": {"must be at least 1": ["0", "-1"], "must be at most": [HUGE]},
    },
    "export": {
        "checkpoint": {
            **NO_CHECKPOINT,
            "was trained by --task sentence_prediction_intra_distillation": [PREDICTOR],
        },
        "--output-dir": FETCHING["--destdir"],
        "--data": NOT_PREPARED,
        "--result": {**NO_RESULT, "is of runs/other/checkpoint_best.pt": ["runs/other/test.json"]},
        "--license": {"--license is blank": [" "]},
    },
    "args": {
        "--dataset": {"--dataset {value}: there is no datasets.yaml": ["rte", "*"]},
        "config": {
            "no such configuration file": ["strange/none", "strange/folder.de", "strange/loop.de"],
            "is a pipe or a device": ["strange/pipe", "strange/zero.de"],
            "can't decode byte": ["strange/utf16.yaml", "strange/latin1.yaml"],
            "special characters are not allowed": ["strange/nul.yaml"],
            "gives no options": ["strange/empty.de"],
            "{value}": ["strange/list.yaml", "strange/number.yaml"],
            "nested too deeply": ["strange/deep.yaml", "strange/circle.yaml"],
            "could not determine a constructor": ["strange/code.yaml"],
            "write the value without spaces": ["strange/nested.yaml"],
            "duplicate key": ["strange/twice.yaml"],
            "File name too long": [f"strange/{LONG}"],
        },
        "overrides": {
            "'{value}' is no override": ["alpha", "=1", "task.=1"],
            "is no override": ["task..x=1"],
            "config.yaml: while parsing": ["task.x=["],
            "Interpolation key 'none' not found": ["task.x=${none}"],
            "write the value without spaces": ["task.x=two words"],
            "for a pattern of file names": ["task.x=a*"],
        },
    },
    "evaluate": {
        **SEARCHING,
        "--baseline": NO_RESULT,
        "--name": {"--name is blank": [" "]},
        **dict.fromkeys(
            ("--source-lang", "--target-lang"), {"is missing, which data of fairseq": ["de"]}
        ),
        **dict.fromkeys(
            ("--references", "--sources"), {"--source-lang is missing": ["raw/train.de"]}
        ),
        "--nbest": {
            "must be at least 1": ["0", "-1"],
            "--nbest {value} is more than --beam 1 finds": ["2", HUGE],
        },
        "--score": {"--score x: say by which model": ["x=raw/train.de"]},
        "--score-signature": {"--score-signature x: give its file as well": ["x=y"]},
        "--lower-is-better": {"--lower-is-better x: give its file as well": ["x"]},
    },
    "average": {
        "--inputs": {**NO_CHECKPOINT, "is not a checkpoint": [SCORES]},
        "--checkpoint-upper-bound": {"goes with --num-epoch-checkpoints": ["3"]},
        "--num-epoch-checkpoints": {"--inputs must be one folder": ["1"]},
        "--output": {
            **NO_OUTPUT,
            "there is no folder none": ["none/x.pt"],
            "is one of the inputs": [CHECKPOINT],
            "File name too long": [LONG],
        },
    },
    "table": {
        "paths": NO_RESULTS,
        "--plot": NO_PICTURE,
        "--csv": {
            **NO_OUTPUT,
            "there is no folder none": ["none/x.csv"],
            "File name too long": [LONG],
        },
        "--metric": {"--metric {value}: the results have BLEU, chrF": ["bleu", "none"]},
        "--gen-subset": {
            "runs holds no {value}.json": ["none", "?", "none*"],
            "is no name of a subset": ["/x", "../x"],
        },
        "--baseline": {"--baseline none: the results are of": ["none"]},
        "--systems": {"no result is of none": ["none"]},
        "--datasets": {"no result is of": ["none"]},
        "--paper": {
            "no such configuration file": ["none"],
            "is a pipe or a device": ["strange/pipe"],
            "does not hold published numbers": ["config.yaml"],
            "can't decode byte": ["strange/utf16.yaml"],
            "nested too deeply": ["strange/circle.yaml"],
        },
    },
    "plot loss": {
        "paths": NO_LOG | {"no number for loss": ["strange/nan.log"]},
        "--plot": NO_PICTURE,
        "--valid-subset": {"no validation on none, but on valid: choose": ["none"]},
        "--reference": {
            "there is no such file of reference curves": ["none", "strange", "strange/loop.de"],
            "is a pipe or a device": ["strange/pipe", "strange/zero.de"],
            "config.yaml has no reference curves: source must be text": ["config.yaml"],
            "can't decode byte": ["strange/utf16.yaml"],
            "nested too deeply": ["strange/circle.yaml"],
            "{value}": ["strange/list.yaml"],
        },
    },
    "plot bleu": {
        "paths": NO_RESULTS,
        "--plot": NO_PICTURE,
        "--metric": {"--metric {value}: the results have BLEU, chrF": ["bleu", "none"]},
        "--gen-subset": {"is no name of a subset": ["/x"], "runs holds no none.json": ["none"]},
    },
    "plot sensitivity": {
        "paths": NO_LOG | {"no statistics of training": ["strange/nan.log"]},
        "--plot": NO_PICTURE,
    },
    "plot passes": {
        "data": NO_DATA,
        "--path": NO_CHECKPOINT,
        "--names": NO_NAMES,
        "--num-passes": {"must be at least 2": ["1", "-1"], "must be at most 8": ["9", HUGE]},
        "--line": {"must be 1 to 12": ["0", "-1", "13", HUGE]},
        "--seed": {"must be at least 0": ["-1"], "must be at most": [HUGE]},
        "--gen-subset": {"has no subset": ["none", "../bin/none"]},
        "--plot": NO_PICTURE,
    },
    "plot alpha": {
        "config": {
            "no such configuration file": ["none"],
            "is a pipe or a device": ["strange/pipe"],
            "has no criterion.alpha": ["strange/empty.de"],
            "nested too deeply": ["strange/deep.yaml"],
        },
        "overrides": {
            "is no override": ["criterion"],
            "must be groups": ["criterion=1", "optimization=x"],
            "criterion.alpha must be a number, not 'x'": ["criterion.alpha=x"],
            "criterion.alpha must be a number": ["criterion.alpha=[1]"],
            "at least 0, not -1": ["criterion.alpha=-1"],
            "not nan": ["criterion.alpha=.nan"],
            "not inf": ["criterion.alpha=.inf"],
            "0 < p < q must hold": ["criterion.alpha_p=20"],
            "infinity": ["optimization.max_update=.inf"],
            "α′ needs the run's length": ["optimization.max_update=null"],
            "has a max_epoch": ["optimization.max_epoch=3"],
        },
        "--updates": {"α′ needs the run's length": ["0", "-1"]},
        "--plot": NO_PICTURE,
    },
    "sensitivity": {
        "data": NO_DATA,
        "--path": NO_CHECKPOINT,
        "--results-path": NO_FOLDER,
        "--plot": NO_PICTURE,
        "--names": NO_NAMES,
        "--seed": NO_SEED,
        "--batches": {"must be at least 1": ["0", "-1"]},
        "--max-tokens": {"must be at least 1": ["0"], "must be at most": [HUGE]},
        "--gen-subset": {"has no subset": ["none", "../bin/none"]},
    },
    "prune": {
        **SEARCHING,
        "--plot": NO_PICTURE,
        "--names": NO_NAMES,
        "--seed": NO_SEED,
        "--order": {"--sensitivity is not used by --order random": ["random"]},
        "--ratios": {
            "'x' is not a number": ["x"],
            "'' is not a number": ["0.1,"],
            "is not from 0 to below 1": ["nan", "1", "-0.1"],
            "0.10 is there twice": ["0.1,0.10"],
        },
        "--sensitivity": {
            "there is no such file of scores": ["none", "strange"],
            "is a pipe or a device": ["strange/pipe"],
            "does not hold the scores": ["raw/train.de", CHECKPOINT],
        },
    },
    "toy-corpus": {
        "--train": NO_PAIRS,
        "--valid": NO_PAIRS,
        "--test": NO_PAIRS,
        "--destdir": {
            "raw/test.de has other content": ["raw"],
            "cannot write {value}": ["raw/train.de", "raw/train.de/x", "strange/loop.de"],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
    },
    "iwslt14": {
        **FETCHING,
        "--source": {
            "No such file or folder": ["none", "strange/pipe", "strange/loop.de"],
            "strange holds neither": ["strange"],
            "is not a .tgz archive": ["raw/train.de"],
            "names no file": ["http://127.0.0.1:9"],
        },
    },
    "wmt17": {**FETCHING, "--source": {"holds neither": ["none", "raw/train.de"]}},
    "panx": {
        **FETCHING,
        "--source": {
            "No such file or folder": ["none", "strange/pipe", "strange/loop.de"],
            "strange has no train set of en (train-en.tsv, en.tar.gz or panx_dataset": ["strange"],
            "is not a .zip archive": ["raw/train.de"],
            "is not a URL": ["http://"],
            "File name too long": [LONG],
        },
        "--languages": {
            "--languages {value}: a name has nothing but": ["d/e", "d e", "de.en", "../x", "é"],
            "panx has no dev set of th, xx (dev-th.tsv": ["th,de,xx"],
            "File name too long": [LONG],
        },
    },
    "prepare-tags": {
        "raw": {
            "{value} has no file train.tsv": ["none", "raw", "raw/train.de", "strange/loop.de"],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
        "--xlmr": {
            "--xlmr {value} has no sentencepiece": [
                "none",
                "raw",
                "raw/train.de",
                "strange/loop.de",
            ],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
        "--destdir": {**FETCHING["--destdir"], "choose another name": ["a,b", "a:b"]},
        "--max-length": {
            "must be at least 4": ["3", "0", "-1"],
            "must be at most 512": ["513", HUGE],
        },
    },
    "bert": {
        **FETCHING,
        "--source": {
            "config.json: No such file": ["none", "strange"],
            "config.json: Not a directory": ["raw/train.de", "strange/pipe"],
            "cannot read": ["strange/loop.de", LONG],
            "it needs a '/' at its end": ["http://127.0.0.1:9"],
        },
    },
    "xlmr": {
        **FETCHING,
        "--source": {
            "No such file or folder": ["none", "strange/pipe", "strange/loop.de"],
            "is not a .tgz archive": ["raw/train.de"],
            "sentencepiece.bpe.model: No such file": ["strange"],
            "File name too long": [LONG],
        },
    },
    "glue": {
        **FETCHING,
        "--destdir": {**FETCHING["--destdir"], "choose another name": ["a,b", "a:b"]},
        "--task": {
            "glue holds neither": ["cola", "mnli", "mrpc"],
        },
        "--bert": {
            "--bert {value} has no vocab.txt": ["none", "raw", "raw/train.de", "strange/loop.de"],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
        "--source": {
            "No such file or folder": ["none", "strange/pipe", "strange/loop.de"],
            "strange holds neither RTE/train.tsv nor train.tsv nor RTE.zip": ["strange"],
            "is not a .zip archive": ["raw/train.de"],
            "is not a URL": ["http://"],
            "File name too long": [LONG],
        },
        "--max-length": {
            "must be at least 5": ["4", "0", "-1"],
            "must be at most 512": ["513", HUGE],
        },
    },
    "glue-submission": {
        "--data": {
            "has no labels.json": ["rte=none", "rte=bin", "rte=raw/train.de", "rte=strange/pipe"],
            "--data qnli has no --path qnli": ["qnli=labelled"],
            "GLUE's RTE has 3000": ["rte=labelled"],
        },
        "--path": {
            "there is no such checkpoint": ["rte=none", "rte=strange/pipe"],
            "is not a PyTorch checkpoint": ["rte=raw/train.de"],
            "is not a checkpoint of a model that predicts labels": [f"rte={CHECKPOINT}"],
        },
        "--output": {**NO_OUTPUT, "there is no folder none": ["none/x.zip"]},
        "--max-tokens": {"must be at least 1": ["0"], "must be at most": [HUGE]},
    },
    "tydiqa": {
        **FETCHING,
        "--source": {
            **NO_SUCH_FOLDER,
            "{value} holds no tydiqa-goldp-v1.1-train.json": ["strange", "xquad"],
            "is not a URL": ["http://"],
        },
    },
    "xquad": {
        **FETCHING,
        "--source": {
            **NO_SUCH_FOLDER,
            "holds no xquad.ar.json": ["strange", "tydiqa"],
            "is not a URL": ["http://"],
        },
        "--languages": {
            "but no {value}": ["ro", "EN", "..", LONG],
            "xquad holds no xquad.zh.json": ["ar,zh"],
        },
        "--train-articles": {
            "must be at least 1": ["0", "-1"],
            "leave none of the 6 articles for the tests": ["5", HUGE],
        },
        "--valid-articles": {
            "must be at least 1": ["0", "-1"],
            "leave none of the 6 articles for the tests": ["3", HUGE],
        },
    },
    "prepare-spans": {
        "raw": {
            "{value} has no file train.json": [
                *["none", "raw", "raw/train.de", "strange", "strange/loop.de"]
            ],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
        "--xlmr": {
            "--xlmr {value} has no sentencepiece.bpe.model": [
                *["none", "raw", "raw/train.de", "strange/loop.de"]
            ],
            "is a pipe or a device": ["strange/pipe"],
            "File name too long": [LONG],
        },
        "--destdir": {
            **FETCHING["--destdir"],
            "choose another name": ["a,b", "a:b"],
            "questions holds other files": ["questions"],
        },
        "--max-length": {
            "must be at least 69": ["68", "0", "-1"],
            "must be at most 512": ["513", HUGE],
            "leaves gaps between windows of 32 pieces": ["100"],
        },
        "--doc-stride": {"must be at least 1": ["0", "-1"], "leaves gaps": ["317", HUGE]},
        "--max-query-length": {
            "must be at least 1": ["0", "-1"],
            "must be at most 512": [HUGE],
            "leaves gaps between windows of 80 pieces": ["300"],
        },
    },
}
# what takes several options
GIVEN_TEXT = {"--source-lang": "de", "--target-lang": "en", "--references": "raw/test.en"}
GIVEN_TEXT |= {"--post-process": "sentencepiece"}
UNREACHABLE = {"--downloads": "raw/train.de", "--source": "http://127.0.0.1:9/"}
TOGETHER: list[tuple[str, Changes, str]] = [
    ("prepare", {"--valid": None}, "give one of --valid"),
    ("prepare", {"--hold-out": HUGE, "--valid": None}, "makes 1000000"),
    ("prepare", {"--hold-out-every": HUGE, "--valid": None}, "makes 0 validation pairs"),
    ("prepare", {"--destdir": "bin", "--lowercase": True}, "made with --lowercase False"),
    ("average", {"--inputs": [CHECKPOINT, CHECKPOINT]}, "is the same as"),
    *(
        ("average", {"--inputs": ["runs/plain"], option: number}, "checkpoints are asked for")
        for option in ("--num-epoch-checkpoints", "--num-update-checkpoints")
        for number in ("0", "-1", "2", HUGE)
    ),
    *(
        (command, {"data": "labelled", "--path": path, "--beam": None, **changes}, message)
        for command, path in (("evaluate", PREDICTOR), ("prune", [PREDICTOR]))
        for changes, message in (
            ({"--beam": "1"}, "which no search translates: leave out --beam"),
            (
                {"--tokenize": "char"},
                "leave out --beam, --lenpen, --max-len-a, --max-len-b, --nbest",
            ),
            ({"--metrics": "BLEU"}, "--metrics BLEU: BLEU is a metric of translations"),
            ({"--gen-subset": "none"}, "has no subset 'none', only train, valid, test"),
            ({"--max-tokens": "2"}, "more than --max-tokens 2: raise it"),
            ({"data": "bin"}, "is not a checkpoint of a translation model"),
        )
    ),
    *(
        ("evaluate", {"--score": f"{name}={file}", "--score-signature": f"{name}=y"}, message)
        for name, file, message in (
            ("../x", "raw/train.de", "a name has up to 40 letters, digits"),
            ("bleu", "raw/train.de", "--score bleu: bleu is computed here: see --metrics"),
            ("x", "strange/none", "--score x=strange/none: there is no such file"),
            ("x", "strange/pipe", "--score x=strange/pipe: there is no such file"),
            ("x", "raw/train.de", "--score is of translations that are not there: evaluate"),
        )
    ),
    *(
        ("evaluate", {**GIVEN_TEXT, **changes}, message)
        for changes, message in (
            ({"--post-process": None}, "--post-process is missing, which data of fairseq"),
            ({"--references": "strange/none"}, "--references strange/none: there is no such file"),
            ({"--references": "strange/pipe"}, "is a pipe or a device"),
            ({"--sources": "strange/folder.de"}, "--sources strange/folder.de: there is no such"),
            ({}, "bin was made by intra-distill prepare, which knows its text: leave out --source"),
            ({"data": "raw"}, "raw has no dict.de.txt: make it by fairseq-preprocess"),
            ({"data": "labelled", "--beam": None}, "labelled has no dict.de.txt"),
        )
    ),
    ("evaluate", {"--path": [CHECKPOINT, CHECKPOINT]}, "is the same as"),
    ("evaluate", {"--path": [CHECKPOINT, "none"]}, "--path none: there is no such checkpoint"),
    ("evaluate", {"--path": [CHECKPOINT, PREDICTOR]}, "is not a checkpoint of a translation model"),
    (
        "evaluate",
        {"data": "labelled", "--path": [PREDICTOR, CHECKPOINT], "--beam": None},
        "--path: only translations have ensembles, labelled has labels",
    ),
    ("plot passes", {"data": "labelled"}, "labelled has labelled text: passes are drawn of a"),
    ("sensitivity", {"data": "labelled"}, "is not a checkpoint of a model that predicts labels"),
    ("glue-submission", {"--fill": None}, "a whole zip: give cola, sst-2, mrpc, qqp, sts-b, mnli"),
    ("iwslt14", {"--pair": "he-en", "--source": None}, "cannot be fetched by a program"),
    ("iwslt14", UNREACHABLE, "cannot write raw/train.de: "),
    ("wmt17", UNREACHABLE, "cannot write raw/train.de: "),
    ("panx", UNREACHABLE, "http://127.0.0.1:9/ names no file"),
    ("panx", {**UNREACHABLE, "--source": None}, "cannot write raw/train.de: "),
    ("panx", {"--test-split": None}, "panx/test-de.tsv has no tags, which XTREME's script removes"),
    ("bert", UNREACHABLE, "cannot write raw/train.de: "),
    ("xlmr", UNREACHABLE, "cannot write raw/train.de: "),
    ("glue", UNREACHABLE, "cannot write raw/train.de: "),
    ("tydiqa", UNREACHABLE, "cannot write raw/train.de: "),
    ("xquad", UNREACHABLE, "cannot write raw/train.de: "),
    ("glue", {"--source": None, "--downloads": "raw/train.de"}, "cannot write raw/train.de: "),
]


def bad_usage() -> Iterator[tuple[str, Changes, str]]:
    """Command, option with its value, and what the line says."""
    for command, working in WORKING.items():
        for option in list(working)[:1]:
            yield command, {option: ""}, "empty"
            yield from ((command, {option: text}, "change them") for text in ("a\nb", "\udcff"))
    for command, options in NUMBERS.items():
        yield from ((command, {o: "3x"}, f"{o}: invalid") for o in options.split())
    for command, options in FLAGS.items():
        yield from ((command, {o: "yes"}, f"{o}: ignored") for o in options.split())
    yield from ((command, {o: value}, f"{o}: invalid choice") for command, o, value in CHOICES)
    yield from ((command, {o: ","}, f"{o}: names nothing") for command, o in NAMES_OF_NOTHING)
    for option in ("--score", "--score-signature"):
        for value in ("x", "=x", "x=", "x= "):
            yield "evaluate", {option: value}, f"{option}: '{value}' is not NAME=…"
    for option in ("--data", "--path"):
        for value in ("labelled", "wnli=labelled", "rte=", "=labelled"):
            message = f"{option}: '{value}' is not TASK=PATH"
            yield "glue-submission", {option: [value]}, message
    yield "user-dir", {"more": "x"}, "unrecognized arguments: "


def bad_values() -> Iterator[tuple[str, Changes, str]]:
    """As :func:`bad_usage`; what is refused by the command itself."""
    for command, refusals in REFUSED.items():
        for option, messages in refusals.items():
            for message, values in messages.items():
                if message.startswith("must be ") and option.startswith("--"):
                    message = f"{option} {message}"
                for value in values:
                    changed = [value] if takes_several(command, option) else value
                    yield command, {option: changed}, message.replace("{value}", value)
    yield from TOGETHER


# The options that the plugin adds to fairseq-train: how it is asked for, option → message, values

SELF_DISTILLATION = [*TASK, "--num-passes=1", "--criterion=self_distillation"]
SAGE = ["--optimizer=sage"]
FUSED_ADAM = ["--optimizer=fused_adam"]
SWITCH = [*TASK, "--num-passes=1", "--criterion=label_smoothed_cross_entropy"]
SWITCH += ["--arch=switch_transformer"]
MULTILINGUAL = ["--task=translation_multi_simple_epoch_intra_distillation", *LANGUAGES]
MULTILINGUAL += INTRA[len(TASK) :]
PREDICTION = CLASSES  # by a BERT, of made-up sentences
TAGGING = TAGS  # by an XLM-R, of made-up words
BERT_SIZES = ("layers", "embed-dim", "ffn-embed-dim", "attention-heads")
NOT_BELOW_1 = "must be at least 0 and below 1, not {value}", ["nan", "-0.1", "1.0"]
NOT_POSITIVE = "must be finite and above 0, not {value}", ["nan", "inf", "0.0", "-1.0"]
NEGATIVE = "must be finite and at least 0, not {value}", ["nan", "inf", "-1.0"]
NO_P_AND_Q = "0 < p < q must hold, with p/q above 0, but p is "
NO_INTEGERS = {"--num-passes": ["nan", "2.5"]}
REFUSED_IN_TRAINING: list[tuple[list[str], dict[str, tuple[str, list[str]]]]] = [
    (
        INTRA,
        {
            "--num-passes": ("must be at least 1, not {value}", ["0", "-1"]),
            "--passes-in-memory": (
                "must be 1 to --num-passes 3, not {value}",
                ["0", "-1", "4", HUGE],
            ),
            "--supervised-passes": (
                "must be 1 to --num-passes 3, not {value}",
                ["0", "-1", "4", HUGE],
            ),
            "--every": ("must be at least 1, not {value}", ["0", "-1"]),
            "--passes-differ": (
                "must be one of both, encoder, decoder, not '{value}'",
                ["none", " "],
            ),
            "--cutoff": NOT_BELOW_1,
            "--track-sensitivity": ("must be at least 0, not {value}", ["-1"]),
            "--alpha": (
                "--alpha, --alpha-p, --alpha-q: alpha must be finite and at least 0, not {value}",
                ["nan", "inf", "-1.0"],
            ),
            "--alpha-p": (
                f"--alpha, --alpha-p, --alpha-q: {NO_P_AND_Q}{{value}} and q is 10.0",
                ["nan", "inf", "0.0", "-5.0", "10.0", "20.0"],
            ),
            "--alpha-q": (
                f"--alpha, --alpha-p, --alpha-q: {NO_P_AND_Q}5.0 and q is {{value}}",
                ["nan", "inf", "0.0", "-5.0", "5.0"],
            ),
            "--divergence": ("must be x or js or kl, not '{value}'", ["mse", "X", " "]),
            "--loss-implementation": (
                "must be one of auto, fused, plain, not '{value}'",
                ["fast", " "],
            ),
        },
    ),
    (
        SELF_DISTILLATION,
        {
            "--teacher-path": (
                "{value}: there is no such checkpoint",
                ["none", ".", "/", "/dev/zero"],
            ),
            "--distillation-weight": NOT_POSITIVE,
        },
    ),
    (
        SAGE,
        {
            "--sage-base": ("must be adam or adamax, not '{value}'", ["sgd", " "]),
            "--sage-beta1": (NOT_BELOW_1[0], [*NOT_BELOW_1[1], "inf"]),
            "--sage-beta2": (NOT_BELOW_1[0], [*NOT_BELOW_1[1], "inf"]),
            "--sage-beta3": (
                "must be above 0 and below 1, not {value}",
                ["nan", "inf", "-0.1", "0.0", "1.0"],
            ),
            "--sage-eps": (
                "must be at least 1e-16 and below 1, not {value}",
                ["nan", "inf", "-1.0", "0.0", "1.0"],
            ),
            "--weight-decay": NEGATIVE,
        },
    ),
    (
        FUSED_ADAM,
        {
            "--adam-betas": (
                "must be two numbers from 0 to below 1, not {value}",
                ["0.9", "(0.9,)", "(0.9,0.98,0.999)", "(0.9,1.0)", "(-0.1,0.98)", "(0.9,nan)"]
                + ["(0.9,'x')", "(0.9,", "exit(3)", "", " ", "0" * 5000],
            ),
            "--adam-eps": NOT_POSITIVE,
            "--weight-decay": NEGATIVE,
        },
    ),
    (
        SWITCH,
        {
            "--num-experts": ("must be at least 2, not {value}", ["1", "0", "-4"]),
            "--capacity-factor": NOT_POSITIVE,
            "--router-jitter": NOT_BELOW_1,
            "--load-balance-alpha": NEGATIVE,
            "--expert-dropout": NOT_BELOW_1,
        },
    ),
    (
        PREDICTION,
        {
            "--divergence-reduction": ("must be mean or sum, not '{value}'", ["max", " "]),
            "--classification-head-name": (
                "must be another word than '{value}'",
                ["a.b", " ", "keys", "training"],
            ),
            **dict.fromkeys(
                [f"--encoder-{size}" for size in BERT_SIZES],
                ("must be at least 1, not {value}", ["0", "-1"]),
            ),
            "--dropout": NOT_BELOW_1,
            "--attention-dropout": NOT_BELOW_1,
            "--classifier-dropout": NOT_BELOW_1,
        },
    ),
    (
        TAGGING,
        {
            "--max-positions": ("must be at least 1, not {value}", ["0", "-1"]),
            "--layer-norm-eps": (
                "must be above 0 and below 1, not {value}",
                ["nan", "inf", "0.0", "1.0", "-1.0"],
            ),
        },
    ),
]
TEXT = {"--divergence", "--loss-implementation", "--teacher-path", "--sage-base"}
TEXT |= {"--passes-differ", "--adam-betas"}
TEXT |= {"--divergence-reduction", "--classification-head-name"}
REFUSED_TOGETHER = [
    (INTRA, ["--constant-alpha=yes"], "argument --constant-alpha: ignored explicit argument 'yes'"),
    (INTRA, ["--max-update=0", "--max-epoch=0"], "set --max-update or --max-epoch"),
    (INTRA, ["--num-passes=1"], "nothing to compare"),
    (INTRA, ["--dropout=0"], "the model has no dropout"),
    (INTRA, ["--num-passes=1", "--alpha=0", "--every=2"], "--every 2 needs --num-passes 2"),
    (INTRA, ["--num-passes=1", "--alpha=0", "--cutoff=0.1"], "--cutoff 0.1 needs --num-passes 2"),
    (
        INTRA,
        ["--num-passes=1", "--alpha=0", "--passes-differ=decoder"],
        "--passes-differ decoder needs --num-passes 2",
    ),
    (INTRA, ["--passes-differ=decoder", "--cutoff=0.1"], "contradicts --cutoff"),
    (
        INTRA,
        ["--passes-differ=encoder", "--passes-in-memory=1"],
        "leave out --passes-in-memory",
    ),
    (PREDICTION, ["--passes-differ=encoder"], "needs an encoder-decoder, not a Bert"),
    ([*INTRA, "--arch=switch_transformer"], ["--encoder-layerdrop=0.5"], "experts take whole"),
    (INTRA, ["--adaptive-softmax-cutoff=5,8"], "--adaptive-softmax-cutoff"),
    (INTRA, ["--criterion=label_smoothed_cross_entropy"], "does not support 3 passes"),
    ([*TASK, "--num-passes=3"], ["--criterion=cross_entropy"], "does not support 3 passes"),
    (INTRA, ["--ddp-backend=fully_sharded"], "not supported: use legacy_ddp"),
    *(
        (working, ["--fp16"], "--fp16 needs a GPU, and --cpu hides any: leave --fp16 out")
        for working in (INTRA, PREDICTION, TAGGING, MULTILINGUAL)
    ),
    (INTRA, ["--bf16"], "--bf16 makes fairseq-train look for a TPU"),
    (INTRA, ["--keep-pruned"], "--keep-pruned has nothing to keep"),
    (INTRA, ["--keep-pruned=yes"], "argument --keep-pruned: ignored explicit argument 'yes'"),
    (
        [*TASK, "--num-passes=1", "--criterion=cross_entropy", "--keep-pruned"],
        ["--ddp-backend=fully_sharded"],
        "--keep-pruned is not supported with --ddp-backend fully_sharded",
    ),
    (INTRA, ["--loss-implementation=fused", "--report-accuracy"], "logits"),
    (SELF_DISTILLATION, [f"--teacher-path={LONG}"], "File name too long"),
    (SELF_DISTILLATION, [], "needs a trained model as --teacher-path"),
    (
        PREDICTION,
        ["--regression-target=yes"],
        "argument --regression-target: ignored explicit argument 'yes'",
    ),
    (
        TAGGING,
        ["--no-shuffle=yes"],
        "argument --no-shuffle: ignored explicit argument 'yes'",
    ),
    (MULTILINGUAL, ["--max-update=0", "--max-epoch=3"], "set --max-update, or use"),
    (
        MULTILINGUAL,
        ["--sampling-method=RoundRobin", "--virtual-epoch-size=50"],
        "--sampling-method RoundRobin makes the batches once",
    ),
    (MULTILINGUAL, ["--num-passes=0"], "--num-passes must be at least 1, not 0"),
    (PREDICTION, ["--encoder-attention-heads=3"], "--encoder-attention-heads 3 must divide"),
    (SWITCH, ["--activation-dropout=0.1"], "use --expert-dropout instead"),
    (SWITCH, ["--checkpoint-activations"], "leave out --checkpoint-activations"),
    (SWITCH, ["--offload-activations"], "--offload-activations"),
    (SWITCH, ["--quant-noise-pq=0.1"], "cannot be quantised"),
    (SWITCH, ["--base-layers=1"], "every layer has experts already: leave out --base-layers"),
]


def bad_training() -> Iterator[tuple[list[str], list[str], str]]:
    """Arguments of fairseq-train that work, what makes them fail, and what the line says."""
    for working, options in REFUSED_IN_TRAINING:
        for option, (message, values) in options.items():
            expected = message if message.startswith("--alpha") else f"{option} {message}"
            for value in values:
                yield working, [f"{option}={value}"], expected.replace("{value}", value)
            for value in [] if option in TEXT else ["x", *NO_INTEGERS.get(option, [])]:
                yield working, [f"{option}={value}"], f"argument {option}: invalid"
    yield from REFUSED_TOGETHER
