import copy
import json
import os
import re
from pathlib import Path

import pytest
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.utils import convert_namespace_to_omegaconf, gen_parser_from_dataclass
from fairseq.options import get_training_parser, get_validation_parser, parse_args_and_arch
from fairseq_cli import hydra_train, validate
from omegaconf import OmegaConf

from intra_distill.criterions.self_distillation import lies_in

from ..support.checkpoints import fairseq_generate
from ..support.finished_work import contents
from ..support.hydra import SHORT_RUN
from ..support.training import (
    CONFIGS,
    LSTM,
    PLAIN,
    SELF,
    TASK,
    TINY_TRANSFORMER,
    USER_DIR,
    Killed,
    kill_at,
    run_training,
)

NO_DROPOUT = ["--dropout", "0"]


def assert_same(ours: dict, theirs: dict, **tolerance):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], **tolerance)


def equation_3(built, sample, weight, label_smoothing, prefix=0):
    """KL(y‖p_s) + w KL(p_t‖p_s) of a batch, less what is constant of y: loss and gradients."""
    teacher = copy.deepcopy(built.criterion.teacher.model).double()
    p_t = teacher(**sample["net_input"])[0].detach().softmax(-1)
    torch.manual_seed(7)
    built.model.zero_grad()
    p_s = built.model.train()(**sample["net_input"])[0].softmax(-1)  # (B, T, V)
    gold = torch.nn.functional.one_hot(sample["target"], p_s.size(-1)).bool()
    y = torch.full_like(p_s, label_smoothing / (p_s.size(-1) - 1))
    y = y.masked_fill(gold, 1 - label_smoothing)
    losses = (-y * p_s.log() + weight * p_t * (p_t.log() - p_s.log())).sum(-1)
    losses = losses * sample["target"].ne(built.criterion.padding_idx)
    loss = losses[:, prefix:].sum()
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in built.model.named_parameters()}


@pytest.mark.parametrize("model", [TINY_TRANSFORMER, LSTM], ids=["transformer", "lstm"])
@pytest.mark.parametrize(
    "options, weight, label_smoothing, prefix",
    [
        ([], 1.0, 0.1, 0),
        (["--distillation-weight", "0.3", "--label-smoothing", "0"], 0.3, 0.0, 0),
        (["--ignore-prefix-size", "2", "--share-all-embeddings"], 1.0, 0.1, 2),
    ],
    ids=["default", "weight", "prefix"],
)
def test_the_loss_is_equation_3(
    student, gradients, model, options, weight, label_smoothing, prefix
):
    built = student(*options, model=model)
    built.model.double()
    for sample in built.batches[:2]:
        expected, expected_grads = equation_3(built, sample, weight, label_smoothing, prefix)
        loss, size, log, grads = gradients(built, sample)
        tolerance = {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(loss, expected, **tolerance)
        assert_same(grads, expected_grads, **tolerance)
        assert size == log["ntokens"] == sample["ntokens"]


def test_bf16_is_near(student, gradients):
    """As fairseq trains it: the student in bf16, and the teacher follows."""
    built = student(*NO_DROPOUT)
    sample = built.batches[0]
    expected, _, expected_log, _ = gradients(built, sample)
    built.model.bfloat16()
    loss, _, log, grads = gradients(built, sample)
    assert all(p.dtype == torch.bfloat16 for p in built.criterion.teacher.model.parameters())
    assert all(grad.dtype == torch.bfloat16 for grad in grads.values())
    torch.testing.assert_close(loss, expected, rtol=5e-3, atol=0)
    torch.testing.assert_close(log["distillation"], expected_log["distillation"], rtol=0.05, atol=0)


def test_a_student_that_is_its_teacher_learns_from_the_gold_labels_alone(
    trainer, student, gradients
):
    ours, plain = student(*NO_DROPOUT), trainer(*PLAIN, *NO_DROPOUT)
    for built in (ours, plain):
        built.model.load_state_dict(ours.criterion.teacher.model.state_dict())
    loss, _, log, grads = gradients(ours, ours.batches[0])
    plain_loss, _, plain_log, plain_grads = gradients(plain, ours.batches[0])
    assert log["distillation"] == 0
    torch.testing.assert_close(loss, plain_loss)
    torch.testing.assert_close(log["nll_loss"], plain_log["nll_loss"])
    assert_same(grads, plain_grads, rtol=1e-4, atol=1e-5)


def test_the_teacher_has_no_dropout_and_does_not_learn(student):
    built = student("--dropout", "0.5")
    model = built.criterion.teacher.model
    before = copy.deepcopy(model.state_dict())
    built.criterion.train()
    sample = built.batches[0]
    first, second = (built.criterion.teacher.logits(sample, built.model) for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    built.train_step([sample])
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert_same(before, model.state_dict(), rtol=0, atol=0)


def test_the_teacher_is_no_part_of_the_criterion(student):
    criterion = student().criterion
    assert not criterion.state_dict()
    assert list(criterion.modules()) == [criterion]
    assert not list(criterion.parameters()) and not list(criterion.buffers())


def test_validation_is_plain_and_does_not_ask_the_teacher(trainer, student):
    ours, plain = student("--report-accuracy"), trainer(*PLAIN, "--report-accuracy")
    plain.model.load_state_dict(ours.model.state_dict())
    del ours.criterion.teacher
    sample = ours.batches[0]
    outcome = ours.task.valid_step(sample, ours.model, ours.criterion)
    assert outcome == plain.task.valid_step(sample, plain.model, plain.criterion)


def test_accuracy_is_the_share_of_right_tokens(trainer, student, gradients):
    options = ["--report-accuracy", "--ignore-prefix-size", "1", *NO_DROPOUT]
    ours, plain = student(*options), trainer(*PLAIN, *options)
    ours.train_step([ours.batches[0]])
    plain.model.load_state_dict(ours.model.state_dict())
    log, plain_log = (gradients(built, ours.batches[0])[2] for built in (ours, plain))
    assert log["total"] == plain_log["total"] > 0
    assert log["n_correct"] == plain_log["n_correct"] > 0


def test_the_task_of_k_passes_takes_it_with_one(trainer, student, teacher, gradients):
    translation = student()
    options = [*TASK, "--num-passes", "1", "--teacher-path", teacher()]
    one_pass = trainer(*SELF, *options)
    one_pass.model.load_state_dict(translation.model.state_dict())
    sample = translation.batches[0]
    assert gradients(translation, sample)[0] == gradients(one_pass, sample)[0]
    with pytest.raises(SystemExit, match="does not support 2 passes"):
        trainer(*SELF, *options, "--num-passes", "2")


def test_bleu_in_validation_is_the_students(student):
    built = student("--eval-bleu", "--eval-bleu-args", '{"beam":1}')
    assert built.task.sequence_generator.model.single_model is built.model


def last_log(caplog) -> dict[str, float]:
    logs = [text for name, _, text in caplog.record_tuples if name == "train" and text[0] == "{"]
    return {key: float(value) for key, value in json.loads(logs[-1]).items()}


def test_a_student_teaches_the_next_and_needs_no_teacher_afterwards(
    configure, data, tmp_path, caplog
):
    caplog.set_level("INFO", "train")
    one_epoch = "--max-epoch 1 --max-update 0 --log-format json".split()
    system, distillation = PLAIN, []
    for round in range(3):
        run = tmp_path / str(round)
        run_training(configure(*system, *one_epoch, "--save-dir", str(run)))
        if round > 0:
            distillation.append(last_log(caplog)["train_distillation"])
            (tmp_path / str(round - 1) / "checkpoint_best.pt").unlink()
        system = [*SELF, "--teacher-path", str(run / "checkpoint_best.pt"), "--seed", "3"]
    assert all(kl > 0 for kl in distillation)
    first, last = (
        torch.load(tmp_path / f"{round}/checkpoint_last.pt", weights_only=True) for round in (0, 2)
    )
    assert first["model"].keys() == last["model"].keys()
    assert first.keys() == last.keys() and not last.get("criterion")

    assert len(fairseq_generate(data, run / "checkpoint_best.pt", tmp_path)) == 20


def test_the_student_comes_near_its_teacher(student, gradients):
    built = student("--distillation-weight", "100")  # no gold labels to speak of
    sample = built.batches[0]
    before = gradients(built, sample)[2]["distillation"]
    for _ in range(30):
        built.train_step([sample])
    assert gradients(built, sample)[2]["distillation"] < before / 2


@pytest.mark.parametrize("options", [[], ["--update-freq", "2"]])
def test_stop_and_resume_gives_the_same_student(configure, teacher, tmp_path, monkeypatch, options):
    path = teacher()

    def train(run: Path) -> None:
        saving = "--save-interval-updates 4 --validate-interval-updates 4".split()
        arguments = [*SELF, "--teacher-path", path, *saving, *options, "--save-dir", str(run)]
        run_training(configure(*arguments))

    through, resumed = tmp_path / "through", tmp_path / "resumed"
    train(through)
    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            train(resumed)
    train(resumed)
    states = [torch.load(run / "checkpoint_last.pt") for run in (through, resumed)]
    assert [state["optimizer_history"][-1]["num_updates"] for state in states] == [12, 12]
    assert_same(*(state["model"] for state in states), rtol=0, atol=0)
    sums = [
        [meter["sum"] for *_, name, _, meter in state["extra_state"]["metrics"]["train"]
         if name == "distillation"]
        for state in states
    ]  # fmt: skip
    assert len(sums[0]) == 1 and sums[0] == sums[1]


def test_a_student_can_start_from_its_teacher(configure, teacher, tmp_path):
    path = teacher()
    start = ["--teacher-path", path, "--finetune-from-model", path, "--max-update", "3"]
    run_training(configure(*SELF, *start))
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pt")
    assert state["optimizer_history"][-1]["num_updates"] == 3


def test_fairseq_validate_does_without_the_teacher(configure, teacher, data, tmp_path, capsys):
    path = teacher()
    run_training(configure(*SELF, "--teacher-path", path, "--max-update", "2"))
    os.remove(path)
    student = str(tmp_path / "checkpoints" / "checkpoint_last.pt")

    arguments = [data, "--path", student, "--user-dir", USER_DIR, "--cpu"]
    arguments += ["--task", "translation", "--max-tokens", "100"]
    args = parse_args_and_arch(get_validation_parser(), arguments)
    validate.main(convert_namespace_to_omegaconf(args))
    # it writes its log there, whoever else had listened to it
    assert re.search(r"\| valid \|.* loss [\d.]+", capsys.readouterr().out)


@pytest.mark.parametrize(
    "damage, line",
    [
        (lambda state: state.pop("cfg"), "is not a checkpoint that fairseq-train wrote"),
        (
            lambda state: state["cfg"]["task"].update(target_lang="fr"),
            "is of other data: its decoder knows fr, not en",
        ),
    ],
    ids=["weights alone", "other data"],
)
def test_a_teacher_of_another_kind_is_refused_in_one_line(trainer, teacher, damage, line):
    path = teacher()
    state = torch.load(path)
    damage(state)
    torch.save(state, path)
    with pytest.raises(SystemExit) as refusal:
        trainer(*SELF, "--teacher-path", path)
    assert str(refusal.value) == f"intra_distill: --teacher-path {path} {line}"


def test_adaptive_softmax_is_refused_in_teacher_and_student(trainer, teacher):
    cutoff = ["--adaptive-softmax-cutoff", "5,8"]
    built = trainer(*SELF, "--teacher-path", teacher(), *cutoff)
    with pytest.raises(SystemExit, match="leave out --adaptive-softmax-cutoff"):
        built.train_step([built.batches[0]])
    adaptive = teacher(*cutoff)
    with pytest.raises(SystemExit, match="teacher.pt has an adaptive softmax"):
        trainer(*SELF, "--teacher-path", adaptive)


# A student in its teacher's folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder: files that are named as checkpoints, and links."""
    here = tmp_path / "here"
    for name in ("run/checkpoint_best.pt", "run/checkpoint_last.pt", "run/old/1.pt", "other/1.pt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("not to be read")
    for name, target in {
        "link_to_run": "run",
        "other/link.pt": "../run/checkpoint_best.pt",
        "link_to_link.pt": "other/link.pt",
        "run/link_out.pt": "../other/1.pt",
        "link_to_link_out.pt": "run/link_out.pt",
        "loop.pt": "loop.pt",
    }.items():
        (here / name).symlink_to(target)
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize(
    "teacher_path, save_dir",
    [
        ("run/checkpoint_best.pt", "run"),
        ("run//checkpoint_best.pt", "run//"),
        ("other/../run/checkpoint_best.pt", "./run/."),
        ("{here}/run/checkpoint_best.pt", "other/../run"),
        ("run/checkpoint_last.pt", "link_to_run"),
        ("link_to_run/checkpoint_last.pt", "run/"),
        ("other/link.pt", "run"),
        ("link_to_link.pt", "{here}/run"),
        ("run/link_out.pt", "run"),
        ("link_to_link_out.pt", "run"),
    ],
)
def test_a_student_in_its_teachers_folder_is_refused(configure, here, teacher_path, save_dir):
    """Before anything is read or written."""
    paths = teacher_path.format(here=here), save_dir.format(here=here)
    before = contents(here)
    with pytest.raises(SystemExit) as refusal:
        run_training(configure(*SELF, "--teacher-path", paths[0], "--save-dir", paths[1]))
    line = str(refusal.value)
    assert line.startswith(
        f"intra_distill: --teacher-path {paths[0]} lies in --save-dir {paths[1]}"
    )
    assert "give the student a folder of its own" in line and "\n" not in line
    assert contents(here) == before


def test_a_bare_name_is_in_the_current_folder(configure, here, monkeypatch):
    monkeypatch.chdir("run")
    with pytest.raises(SystemExit, match="lies in --save-dir ., where"):
        run_training(configure(*SELF, "--teacher-path", "checkpoint_best.pt", "--save-dir", "."))


@pytest.mark.parametrize(
    "teacher_path, save_dir",
    [
        ("run/checkpoint_best.pt", "other"),
        ("run/checkpoint_best.pt", "new"),
        ("run/checkpoint_best.pt", "run/student"),
        ("run/old/1.pt", "run"),
        ("other/link.pt", "other/../new"),
        ("run/none.pt", "run"),
        ("loop.pt", "."),
    ],
)
def test_other_folders_are_not_the_teachers(here, teacher_path, save_dir):
    assert not lies_in(teacher_path, save_dir)


def test_hydra_knows_the_folder_as_well(data, here, teacher):
    recipe = OmegaConf.load(CONFIGS / "multi30k" / "self_distillation.yaml")
    cfg = OmegaConf.merge(OmegaConf.structured(FairseqConfig), recipe)  # as hydra does
    values = {"task.data": data, "common.user_dir": USER_DIR, "criterion.teacher_path": teacher()}
    for name, value in {**SHORT_RUN, **values}.items():
        OmegaConf.update(cfg, name, value, force_add=True)

    def train(save_dir: str) -> None:
        OmegaConf.update(cfg, "checkpoint.save_dir", save_dir)
        hydra_train._hydra_main(copy.deepcopy(cfg))

    with pytest.raises(SystemExit, match="teacher.pt lies in --save-dir ..,"):
        train("..")
    train("student")
    assert (here / "student" / "checkpoint_last.pt").is_file()


def test_what_it_reads_of_fairseqs_options_is_no_new_option():
    parser = get_training_parser()
    before = dict(parser._option_string_actions)
    gen_parser_from_dataclass(parser, CRITERION_DATACLASS_REGISTRY["self_distillation"]())
    new = parser._option_string_actions.keys() - before.keys()
    assert "--teacher-path" in new and not new & {"--save-dir", "--max-tokens"}
    assert all(parser._option_string_actions[option] is before[option] for option in before)


# A teacher of shorter sentences

LEARNED = ["--encoder-learned-pos", "--decoder-learned-pos"]


def limits(source: int, target: int) -> list[str]:
    return ["--max-source-positions", str(source), "--max-target-positions", str(target)]


@pytest.mark.parametrize(
    "theirs, ours, line",
    [
        (
            limits(6, 7),
            [],
            "at most 6 source and 7 target tokens, but the student may train on 80 and 80: "
            "add --max-source-positions 6 --max-target-positions 7",
        ),
        (
            limits(6, 7),
            limits(6, 8),
            "at most 7 target tokens, but the student may train on 8: add --max-target-positions 7",
        ),
        (
            limits(6, 1024),
            ["--max-tokens", "9"],
            "at most 6 source tokens, but the student may train on 9: add --max-source-positions 6",
        ),
    ],
    ids=["both", "target", "source"],
)
def test_a_teacher_that_reads_shorter_sentences_is_refused(trainer, teacher, theirs, ours, line):
    path = teacher(*LEARNED, *theirs)
    built = trainer(*SELF, "--teacher-path", path, *ours)
    before = copy.deepcopy(built.model.state_dict())
    with pytest.raises(SystemExit) as refusal:
        built.train_step([built.batches[0]])
    start = f"intra_distill: --teacher-path {path} has learned positions for "
    assert str(refusal.value) == start + line
    assert_same(built.model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "theirs, ours, model",
    [
        (limits(6, 7), [], TINY_TRANSFORMER),
        (limits(6, 7), LEARNED, TINY_TRANSFORMER),
        (limits(6, 7), [], LSTM),
        ([*LEARNED, *limits(6, 7)], limits(6, 7), TINY_TRANSFORMER),
        ([*LEARNED, *limits(10, 10)], ["--max-tokens", "10"], TINY_TRANSFORMER),
        ([*LEARNED, *limits(6, 7), "--no-token-positional-embeddings"], [], TINY_TRANSFORMER),
    ],
    ids=["sinusoidal", "of a learned one", "lstm", "limits", "tokens", "none"],
)
def test_a_teacher_is_not_refused_that_reads_all_sentences(trainer, teacher, theirs, ours, model):
    path = teacher(*theirs, model=model)
    built = trainer(*SELF, "--teacher-path", path, *ours, model=model)
    longest = max(built.batches, key=lambda sample: sample["target"].size(1))
    assert longest["target"].size(1) > 7 or "--max-source-positions" in ours
    built.train_step([longest])
