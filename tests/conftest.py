"""A tiny parallel corpus, and trainers of fairseq's on it: fixtures of all tests."""

import random
from collections.abc import Iterator
from pathlib import Path

import fairseq_cli.train  # noqa: F401  before intra_distill, which patches it where it is loaded
import pytest
import torch
from fairseq import tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_preprocessing_parser, get_training_parser, parse_args_and_arch
from fairseq.trainer import Trainer
from fairseq_cli import preprocess

from .support.composition import compose_quickly
from .support.corpora import write_newstest2014
from .support.prepared import make_prepared
from .support.sentences import write_sentences
from .support.tokens import write_questions, write_words
from .support.training import PLAIN, SELF, TINY_TRANSFORMER, USER_DIR
from .support.trilingual import make_multilingual
from .support.warm import warm_environment

pytest_plugins = ["tests.support.fault_table"]


# what these fixtures give takes seconds: binarised data, trained models, finished work
SLOW_FIXTURES = {
    "data",
    "prepared",
    "multilingual",
    "work",
    "of_classes",
    "of_numbers",
    "of_words",
    "of_questions",
}
# what trains without them, starts processes or tries thousands of cases: files, and functions
SLOW = {
    *["test_benchmark.py", "test_cleaning.py", "test_end_to_end.py", "test_input_scripts.py"],
    *["test_killed_tools.py", "test_numbers.py", "test_patches.py", "test_plain_fairseq.py"],
    *["test_interruption.py", "test_ranks.py", "test_recipes.py", "test_translation.py"],
    *["test_grid_jobs.py", "test_added_test_sets.py", "test_pieces.py", "test_gpu.py"],
    "test_fused_loss_triton_compiled.py",
    "test_a_published_system_can_be_trained",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as quick, for ``-m quick``, what is neither slow nor asks for a slow fixture.

    The slow files come first, so that no process has one of them left when the others are done.
    """
    items.sort(key=lambda item: item.path.name not in SLOW)
    for item in items:
        names = {item.path.name, getattr(item, "originalname", item.name)}
        fixtures = getattr(item, "fixturenames", ())  # also those that its fixtures ask for
        if not names & SLOW and not SLOW_FIXTURES.intersection(fixtures):
            item.add_marker(pytest.mark.quick)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="session", autouse=True)
def quick_composition() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fairseq.dataclass.utils.compose", compose_quickly)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)  # the models are tiny, and other tests may run beside


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A data directory: the target is the source reversed, with one word changed."""
    root = tmp_path_factory.mktemp("corpus")
    words = random.Random(1)
    for split, pairs in {"train": 200, "valid": 20, "test": 20}.items():
        source = [words.choices("abcdefghij", k=words.randint(1, 9)) for _ in range(pairs)]
        target = [["x" if word == "a" else word for word in line[::-1]] for line in source]
        for language, lines in {"de": source, "en": target}.items():
            text = "".join(" ".join(line) + "\n" for line in lines)
            (root / f"{split}.{language}").write_text(text, encoding="utf-8")
    prefixes = [f"--{split}pref={root / split}" for split in ("train", "valid", "test")]
    options = ["--joined-dictionary", "--workers=1", f"--destdir={root / 'bin'}"]
    parser = get_preprocessing_parser()
    preprocess.main(parser.parse_args(["-s", "de", "-t", "en", *prefixes, *options]))
    return str(root / "bin")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A data directory with the subsets train, test and test1."""
    return make_prepared(tmp_path_factory.mktemp("text"), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def multilingual(tmp_path_factory) -> Path:
    """A data directory of the pairs de-en, en-de and fr-en."""
    return make_multilingual(tmp_path_factory.mktemp("multilingual"))


@pytest.fixture(scope="session")
def sentences(tmp_path_factory) -> dict[str, Path]:
    """Data directories of pairs of sentences, with labels that are ``classes`` or ``numbers``."""
    folder = tmp_path_factory.mktemp("sentences")
    return {kind: write_sentences(folder / kind, kind) for kind in ("classes", "numbers")}


@pytest.fixture(scope="session")
def token_data(tmp_path_factory) -> dict[str, Path]:
    """Data directories of ``words`` with tags and of ``questions`` with spans."""
    folder = tmp_path_factory.mktemp("tokens")
    return {
        "words": write_words(folder / "words"),
        "questions": write_questions(folder / "questions"),
    }


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[str]:
    """An environment of programs that start at once, and sacreBLEU's folder in it."""
    folder = tmp_path_factory.mktemp("warm")
    write_newstest2014(folder / "sacrebleu")
    with warm_environment(folder / "venv", SACREBLEU=str(folder / "sacrebleu")) as venv:
        yield str(venv)


@pytest.fixture
def configure(data, tmp_path):
    """Command-line arguments of fairseq-train → its configuration, on the tiny corpus."""

    def configure(*arguments, model=TINY_TRANSFORMER, data=data, device="cpu"):
        settings = [
            *["--user-dir", USER_DIR, "--save-dir", str(tmp_path / "checkpoints")],
            *([] if device == "cuda" else ["--cpu"]),
            *"--optimizer adam --lr 0.01 --max-tokens 80 --max-update 12".split(),
            *"--dropout 0.2 --num-workers 0 --no-progress-bar".split(),
        ]
        parser = get_training_parser()
        return convert_namespace_to_omegaconf(
            parse_args_and_arch(parser, [str(data), *settings, *model, *arguments])
        )

    return configure


@pytest.fixture
def trainer(configure):
    """Arguments → a trainer before its first update, with its batches as ``trainer.batches``."""

    def build(*arguments, **kwargs):
        cfg = configure(*arguments, **kwargs)
        utils.set_torch_seed(cfg.common.seed)
        task = tasks.setup_task(cfg.task)
        model = task.build_model(cfg.model)
        trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
        batches = trainer.get_train_iterator(1).next_epoch_itr(shuffle=False)
        trainer.batches = [utils.move_to_cuda(b) if trainer.cuda else b for b in batches]
        trainer.begin_epoch(1)
        return trainer

    return build


@pytest.fixture
def gradients():
    """One forward and backward of a trainer's task, under a seed → loss, its parts, gradients."""

    def gradients(trainer, sample, update=0, seed=7):
        trainer.zero_grad()
        torch.manual_seed(seed)
        loss, sample_size, logging_output = trainer.task.train_step(
            sample, trainer.model, trainer.criterion, trainer.optimizer, update
        )
        grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
        return loss.detach(), sample_size, logging_output, grads

    return gradients


@pytest.fixture
def teacher(trainer, tmp_path):
    """Options → the path of a checkpoint that fairseq-train would have written, untrained."""

    def teacher(*options, model=TINY_TRANSFORMER) -> str:
        built = trainer(*PLAIN, "--seed", "2", *options, model=model)
        path = str(tmp_path / "teacher.pt")
        built.consolidate_optimizer()
        built.save_checkpoint(path, {"train_iterator": {"epoch": 1}})
        return path

    return teacher


@pytest.fixture
def student(trainer, teacher):
    """Options → a trainer whose criterion has a teacher."""

    def student(*options, model=TINY_TRANSFORMER):
        return trainer(*SELF, "--teacher-path", teacher(model=model), *options, model=model)

    return student
