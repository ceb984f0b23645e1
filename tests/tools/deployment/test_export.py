"""An exported folder translates as fairseq does, by the program of its model card."""

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from intra_distill.checkpoints import save_checkpoint
from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.files import read_lines
from intra_distill.tools.averaging import average
from intra_distill.tools.deployment import export as exporting
from intra_distill.tools.deployment.export import CARD, REPORT, Export, export
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.search import Search

from ...support.checkpoints import change_checkpoint, remove_half

pytest.importorskip("ctranslate2", reason="the optional package ctranslate2")


def lines_of(path: Path) -> list[str]:
    return list(read_lines(path))


def run_program(folder: Path, lines: list[str], monkeypatch) -> list[str]:
    """What the program of a model card prints, run in its folder."""
    (program,) = re.findall(r"```python\n(.*?)```", card(folder), re.DOTALL)
    monkeypatch.chdir(folder)
    Path("text.de").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with redirect_stdout(io.StringIO()) as printed:
        exec(program, {})
    Path("text.de").unlink()
    return printed.getvalue().split("\n")[:-1]


def card(folder: Path) -> str:
    return (folder / CARD).read_text(encoding="utf-8")


def hypotheses(folder: Path, lines: list[str]) -> list[str]:
    """Those of an evaluation; an empty line has none outside of fairseq."""
    found = lines_of(folder / "test.hyp.en")
    return [text if line else "" for line, text in zip(lines, found, strict=True)]


@pytest.mark.parametrize("beam", [1, 5])
def test_the_program_of_the_card_prints_fairseqs_hypotheses(
    prepared, checkpoint, tmp_path, monkeypatch, beam
):
    search = Search(beam=beam, lenpen=0.6, max_len_b=9)
    evaluate(Evaluation(prepared, checkpoint, tmp_path, search=search))
    result = tmp_path / "test.json"
    export(Export(checkpoint, tmp_path / "out", results=(result,)))
    assert f"beam_size={beam}, length_penalty=0.6, max_decoding_length=9\n" in card(
        tmp_path / "out"
    )
    lines = lines_of(prepared / "test.src.de")
    assert run_program(tmp_path / "out", lines, monkeypatch) == hypotheses(tmp_path, lines)


@pytest.mark.parametrize("quantization", ["int8", "float16"])
def test_rounded_parameters_translate_the_toy_text_as_well(
    prepared, checkpoint, base, tmp_path, monkeypatch, quantization
):
    export(Export(checkpoint, tmp_path / "out", quantization=quantization))
    lines = [
        f" {line.upper()}" for line in lines_of(prepared / "test.src.de")
    ]  # case and white space
    found = run_program(tmp_path / "out", lines, monkeypatch)
    expected = hypotheses(base.parent, lines_of(prepared / "test.src.de"))
    assert sum(map(str.__eq__, found, expected)) >= len(lines) - 1
    assert f"converted to CTranslate2 ({quantization})" in card(tmp_path / "out")


def by_hydra(state: dict) -> None:
    """Describe the model as fairseq-hydra-train does: by a dict, without an architecture."""
    options = vars(state["cfg"]["model"])
    state["cfg"]["model"] = {**options, "_name": options.pop("arch")}


@pytest.mark.parametrize("change", [by_hydra, remove_half])
def test_checkpoints_of_every_kind(checkpoint, tmp_path, change):
    changed = change_checkpoint(checkpoint, tmp_path / "run" / "last.pt", change)
    assert export(Export(changed, tmp_path / "out"))
    assert "# run: de → en" in card(tmp_path / "out")


def test_an_average(checkpoint, tmp_path):
    other = change_checkpoint(checkpoint, tmp_path / "other.pt", remove_half)
    save_checkpoint(tmp_path / "average.pt", average([checkpoint, other]))
    assert export(Export(tmp_path / "average.pt", tmp_path / "out"))


def test_the_card_says_how_it_was_trained_and_scored(prepared, distilled, base, tmp_path):
    name = "intra_x+task.num_passes=2"
    evaluate(
        Evaluation(
            *(prepared, distilled, tmp_path / "result"),
            inference=Inference(cpu=True),
            metrics=("BLEU", "TER"),
            name=name,
        )
    )
    result = tmp_path / "result" / "test.json"
    with_baseline = Evaluation(prepared, distilled, tmp_path / "result", baseline=base, name=name)
    evaluate(replace(with_baseline, metrics=("BLEU", "chrF")))
    out = str(tmp_path / "out")
    main(["export", str(distilled), "--output-dir", out, "--license=mit", "--result", str(result)])
    content = json.loads(result.read_text(encoding="utf-8"))
    _, front, text = card(tmp_path / "out").split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["language"] == ["de", "en"] and front["license"] == "mit"
    assert front["tags"][-1] == "intra-distillation" and front["metrics"] == ["bleu", "chrf"]
    (entry,) = front["model-index"][0]["results"]
    assert entry["dataset"] == {"name": "test de-en", "type": "test"}
    assert [metric["value"] for metric in entry["metrics"]] == [
        round(score, 2) for score in content["scores"].values()
    ]
    assert "trained by fairseq with intra-distillation, K = 2," in text
    assert f"\n# {name}: de → en\n" in text and "| overrides | task.num_passes=2 |" in text
    assert "| criterion | intra_distillation, " in text and "alpha 5.0" in text
    assert "| updates | 20 |" in text and "| case | lower-cased |" in text
    for metric, signature in content["signatures"].items():
        assert f"- {metric}: `{signature}`\n" in text
        test = content["significance"]["tests"][metric]
        assert f"| {test['baseline']['mean']:.2f} (plain) | {test['p_value']:.3f} |" in text
    assert f"intra-distill evaluate {prepared} --path {distilled} --gen-subset test" in text
    assert f"intra-distill export {distilled} --output-dir . --quantization float32" in text
    assert "ctranslate2 " in text.splitlines()[-1]


def test_without_results_there_are_no_scores(checkpoint, tmp_path):
    export(Export(checkpoint, tmp_path / "out"))
    text = card(tmp_path / "out")
    assert "## Scores" not in text and "metrics:" not in text and "license" not in text
    assert "with intra-distillation" not in text and "lower-cased alone" not in text


# A whole folder or none


@pytest.fixture
def asked(checkpoint, tmp_path) -> Export:
    return Export(checkpoint, tmp_path / "out")


def test_a_finished_folder_is_not_made_again(asked, capsys):
    assert export(asked)
    made = {path: path.stat().st_mtime_ns for path in asked.output_dir.iterdir()}
    assert not export(asked)
    assert {path: path.stat().st_mtime_ns for path in asked.output_dir.iterdir()} == made
    with pytest.raises(
        UserError, match="made with --quantization float32, not int8: choose anothe"
    ):
        export(replace(asked, quantization="int8"))
    with pytest.raises(UserError, match="made with --license None, not mit: .* --output-dir"):
        export(replace(asked, license="mit"))


def test_another_checkpoint_or_result_is_another_request(asked, base, distilled):
    export(asked)
    with pytest.raises(UserError, match="was made with another checkpoint: choose"):
        export(replace(asked, checkpoint=distilled))
    with pytest.raises(UserError, match="was made with other results: choose"):
        export(replace(asked, results=(base,)))


@pytest.mark.parametrize("step", ["write_converted", "write_model_card"])
def test_what_is_killed_leaves_nothing_half(asked, monkeypatch, step):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exporting, step, killed)
        with pytest.raises(KeyboardInterrupt):
            export(asked)
    assert [path.name for path in asked.output_dir.iterdir()] == [".partial"]
    assert export(asked)
    assert (asked.output_dir / REPORT).is_file()
    assert not (asked.output_dir / ".partial").exists()


def test_a_model_that_is_not_the_same_leaves_nothing(asked, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.01)
    with pytest.raises(UserError, match="the converted model is not the same"):
        export(asked)
    assert not asked.output_dir.exists()


def test_without_the_package_nothing_is_begun(asked, monkeypatch):
    monkeypatch.setattr("intra_distill.tools.deployment.converted.ctranslate2", None)
    with pytest.raises(UserError, match=r"pip install 'intra_distill\[export\]'"):
        export(asked)
    assert not asked.output_dir.exists()


# What is refused


def other_task(state: dict) -> None:
    state["cfg"]["task"]["_name"] = "translation_multi_simple_epoch"


def far_data(state: dict) -> None:
    state["cfg"]["task"]["data"] = "/far/away"


REFUSED: dict[str, tuple[Callable[[dict], None], str]] = {
    "task": (other_task, "was trained by --task translation_multi_simple_epoch: an export takes"),
    "data": (far_data, "was trained on /far/away, which is not there: give --data"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_checkpoints(checkpoint, tmp_path, kind):
    change, message = REFUSED[kind]
    changed = change_checkpoint(checkpoint, tmp_path / "changed.pt", change)
    with pytest.raises(UserError, match=message):
        export(Export(changed, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_data_that_moved(prepared, checkpoint, tmp_path):
    moved = shutil.copytree(prepared, tmp_path / "moved")
    changed = change_checkpoint(checkpoint, tmp_path / "changed.pt", far_data)
    assert export(Export(changed, tmp_path / "out", data=moved))
    dictionary = moved / "dict.en.txt"
    dictionary.write_text(dictionary.read_text("utf-8") + "more 1\n", encoding="utf-8")
    with pytest.raises(UserError, match="is of other data: its decoder knows"):
        export(Export(changed, tmp_path / "again", data=moved))


def test_a_model_without_a_place(asked, monkeypatch):
    monkeypatch.setattr(exporting, "obstacle", lambda _: "a SwitchTransformerModel")
    with pytest.raises(UserError, match="holds a SwitchTransformerModel, which CTranslate2 has no"):
        export(asked)


def test_a_result_of_another_checkpoint(base, distilled, tmp_path):
    with pytest.raises(UserError, match=f"--result {base} is of .* as it was when"):
        export(Export(distilled, tmp_path / "out", results=(base,)))


def test_a_folder_with_other_files(asked):
    asked.output_dir.mkdir()
    (asked.output_dir / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds other files: choose another --output-dir"):
        export(asked)
