"""Strange input: the options that the plugin adds to fairseq-train.

Each is given values that it cannot have, and training ends in one line before its first update.
"""

from collections.abc import Iterator

import pytest
from fairseq.dataclass import FairseqDataclass

from ..support.sentences import BERT
from ..support.tokens import XLMR
from .bad_values import MULTILINGUAL, PREDICTION, TAGGING, bad_training


@pytest.mark.parametrize(
    "working, arguments, expected",
    [pytest.param(*row, id=" ".join(row[1])[:60] or row[2]) for row in bad_training()],
)
def test_fairseq_train_refuses_a_bad_value_before_the_first_update(
    trainer,
    sentences,
    token_data,
    multilingual,
    inject,
    capsys,
    monkeypatch,
    working,
    arguments,
    expected,
):
    inject()
    corpus = {}
    if working == PREDICTION:
        corpus = {"model": BERT, "data": sentences["classes"]}
    if working == TAGGING:
        corpus = {"model": XLMR, "data": token_data["words"]}
    if working == MULTILINGUAL:
        corpus = {"data": multilingual}
    updates = []
    monkeypatch.setattr("fairseq.trainer.Trainer.optimizer_step", updates.append, raising=False)
    with pytest.raises(SystemExit) as ending:
        built = trainer(*working, *arguments, **corpus)
        built.train_step(built.batches[:1])
    if expected.startswith("argument "):
        assert ending.value.code == 2
        line = capsys.readouterr().err.splitlines()[-1]
    else:
        line = ending.value.code
        assert line.startswith("intra_distill: ") and line.isprintable()
    assert expected in line and not updates


def plugin_options(of: type = FairseqDataclass) -> Iterator[str]:
    """What our dataclasses declare, but for what they have of another option."""
    for dataclass in of.__subclasses__():
        yield from plugin_options(dataclass)
        if dataclass.__module__.startswith("intra_distill."):
            for field in dataclass.__dict__.get("__annotations__", {}):
                default = dataclass.__dataclass_fields__[field].default
                if not str(default).startswith("${") and field != "data":  # no option
                    yield f"--{field.replace('_', '-')}"


def test_every_option_of_the_plugin_is_in_the_table():
    options = set(plugin_options())
    tried = {argument.partition("=")[0] for _, changes, _ in bad_training() for argument in changes}
    assert options - tried == set()
    assert {"--num-passes", "--alpha", "--teacher-path", "--sage-eps", "--num-experts"} <= options
