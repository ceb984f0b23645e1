import re
import shutil
from pathlib import Path

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq_cli import generate

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.preparation.multilingual import prepare_multilingual
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.results import read_result
from intra_distill.tools.scoring.search import Search

from ...support.checkpoints import train_model
from ...support.trilingual import LANGUAGES, PAIRS, make_preparation

TASK = ["--task", "translation_multi_simple_epoch_intra_distillation", "--num-passes", "1"]
TOKENS = ["--encoder-langtok", "tgt", "--decoder-langtok"]
SUBSETS = [f"test-{pair}" for pair in PAIRS]


def train(data: Path, folder: Path, *tokens: str, updates: int = 40) -> Path:
    return train_model(data, folder, updates, *TASK, *LANGUAGES, *tokens)


@pytest.fixture(scope="module")
def model(multilingual, tmp_path_factory) -> Path:
    return train(multilingual, tmp_path_factory.mktemp("runs") / "plain", *TOKENS)


@pytest.fixture(scope="module")
def results(multilingual, model, tmp_path_factory) -> Path:
    """The folder with the results of all directions."""
    folder = tmp_path_factory.mktemp("results")
    evaluate(Evaluation(multilingual, model, folder))
    return folder


def generated(data: Path, model: Path, direction: str, *tokens: str) -> list[str]:
    """The best hypotheses of fairseq-generate, run as its users do, in corpus order."""
    source, target = direction.split("-")
    arguments = f"{data} --task translation_multi_simple_epoch -s {source} -t {target}"
    arguments += f" --path {model} --results-path {model.parent / direction} --cpu --beam 5"
    arguments += " --max-tokens 4096 --required-batch-size-multiple 1 --num-workers 0"
    arguments += " --post-process sentencepiece"
    parser = options.get_generation_parser()
    args = options.parse_args_and_arch(parser, [*arguments.split(), *LANGUAGES, *tokens])
    generate.main(convert_namespace_to_omegaconf(args))
    output = (model.parent / direction / "generate-test.txt").read_text()
    found = re.findall(r"^D-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)
    return [text for _, text in sorted(found, key=lambda line: int(line[0]))]


@pytest.mark.parametrize("direction", PAIRS)
def test_each_direction_has_the_hypotheses_of_fairseq_generate(
    multilingual, model, results, direction
):
    subset, target = f"test-{direction}", direction[-2:]
    hypotheses = (results / f"{subset}.hyp.{target}").read_text().splitlines()
    assert hypotheses == generated(multilingual, model, direction, *TOKENS)
    assert len(set(hypotheses)) > 1
    result = read_result(results / f"{subset}.json")
    assert (result.dataset, result.test_set.subset) == (direction, subset)
    for name, lang in (("src", direction[:2]), ("ref", target)):
        file = f"{subset}.{name}.{lang}"
        assert (results / file).read_bytes() == (multilingual / file).read_bytes()


@pytest.mark.parametrize(
    "tokens",
    [
        ["--lang-tok-style", "mbart", "--decoder-langtok", "--lang-tok-replacing-bos-eos"],
        ["--encoder-langtok", "src"],
    ],
)
def test_the_tokens_are_those_of_the_training(multilingual, tmp_path, tokens):
    model = train(multilingual, tmp_path / "run", *tokens, updates=20)
    evaluate(Evaluation(multilingual, model, tmp_path, subsets=("test-en-de",)))
    hypotheses = (tmp_path / "test-en-de.hyp.de").read_text().splitlines()
    assert hypotheses == generated(multilingual, model, "en-de", *tokens)


def test_a_table_has_a_column_of_each_direction(results, capsys):
    main(["table", *(str(results / f"{subset}.json") for subset in SUBSETS)])
    head = capsys.readouterr().out.splitlines()[0]
    assert all(pair in head for pair in PAIRS)


def test_cut_hypotheses_are_counted_with_their_token(multilingual, model, tmp_path):
    search = Search(max_len_b=2)
    (result,) = evaluate(
        Evaluation(multilingual, model, tmp_path, subsets=("test-de-en",), search=search)
    )
    lines = (tmp_path / "test-de-en.hyp.en").read_text().splitlines()
    assert 0 < result.search.cut_hypotheses <= len(lines)


def test_members_of_an_ensemble_have_the_same_tokens(multilingual, model, tmp_path):
    other = train(multilingual, tmp_path / "run", "--encoder-langtok", "src", updates=2)
    with pytest.raises(UserError, match="has other languages, or other tokens of them"):
        evaluate(Evaluation(multilingual, model, tmp_path, ensemble=(other,)))


def test_an_evaluation_that_is_finished_is_not_repeated(multilingual, model, results, capsys):
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    evaluate(Evaluation(multilingual, model, results))
    assert capsys.readouterr().out.count("not translated again") == len(PAIRS)
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == before


def test_unknown_subsets_are_refused(multilingual, model, tmp_path):
    with pytest.raises(UserError, match="has no subset 'test' to score, only .*test-fr-en"):
        evaluate(Evaluation(multilingual, model, tmp_path, subsets=("test",)))


def test_a_model_of_one_pair_is_refused(multilingual, checkpoint, tmp_path):
    with pytest.raises(UserError, match="is not a checkpoint of a model of several language pairs"):
        evaluate(Evaluation(multilingual, checkpoint, tmp_path))


def test_a_model_of_other_pieces_is_refused(model, tmp_path):
    preparation = make_preparation(tmp_path, vocab_size=44)
    prepare_multilingual(preparation)
    with pytest.raises(UserError, match="is of other data: its encoder knows .* types"):
        evaluate(Evaluation(preparation.destdir, model, tmp_path / "results"))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("langs", ["en", "de"], "is of other data"),
        ("langs", ["en", "de", "it"], "does not know fr, only en, de, it"),
        ("lang_dict", "langs.txt", "was trained with --lang-dict or --langtoks"),
        ("langtoks", {"main": ("src.x", "tgt")}, "was trained with --lang-dict or --langtoks"),
        ("lang_pairs", ["de"], "is not a checkpoint of a model of several"),
        ("lang_pairs", "de-en", "is not a checkpoint of a model of several"),
        ("encoder_langtok", "--cpu", "was trained with"),
    ],
)
def test_other_languages_are_refused(multilingual, model, tmp_path, key, value, message):
    state = torch.load(model, weights_only=True)
    setattr(state["cfg"]["task"], key, value)
    torch.save(state, tmp_path / "changed.pt")
    with pytest.raises(UserError, match=message):
        evaluate(Evaluation(multilingual, tmp_path / "changed.pt", tmp_path))


def test_a_damaged_report_is_named(multilingual, model, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(multilingual, data)
    text = (data / "prepare.json").read_text()
    (data / "prepare.json").write_text(text.replace("de-en,en-de", "de/../x-en"))
    with pytest.raises(UserError, match="is not what intra-distill prepare-multilingual wrote"):
        evaluate(Evaluation(data, model, tmp_path))
