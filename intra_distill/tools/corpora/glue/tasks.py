"""The tasks of GLUE without WNLI, the eight of the paper, and the columns of their files."""

from dataclasses import dataclass

from ..download import Remote

BASE = "https://dl.fbaipublicfiles.com/glue/data/"
SENTEVAL = "https://dl.fbaipublicfiles.com/senteval/senteval_data/"


@dataclass(frozen=True)
class Table:
    """A file of columns that tabs separate; a quotation mark is text as any other character.

    Attributes:
        file: its name.
        columns: their names, which are the first line if the file has a header.
        dataset: the data set that results on it are of, where that is not the task.
        held_out: whether it is read for the pairs of :attr:`GlueTask.dev_ids` or for the others;
            None for all of it.
    """

    file: str
    columns: tuple[str, ...]
    header: bool = True
    dataset: str | None = None
    held_out: bool | None = None


@dataclass(frozen=True)
class GlueTask:
    """A task of GLUE.

    Attributes:
        name: the name of its data set.
        folder: the folder of its files.
        sentences: the columns of its sentences, one or two.
        label: the column of the label. A test file may lack it, or have it as its last column.
        classes: in the order of their ids, the positive one of F1 and MCC second; None if the
            labels are scores.
        metrics: their names in results, the primary one first.
        tables: by fairseq's name of the split.
        archive: holds the files, except for ``single_files``.
        single_files: what is fetched one by one.
        dev_ids: the pairs of the training file that are the development set.
        drops_odd_lines: leave out training and development lines of another number of columns.
    """

    name: str
    folder: str
    sentences: tuple[str, ...]
    label: str
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    tables: dict[str, Table]
    archive: Remote | None = None
    single_files: tuple[Remote, ...] = ()
    dev_ids: Table | None = None
    drops_odd_lines: bool = False

    @property
    def pairs(self) -> bool:
        return len(self.sentences) == 2

    @property
    def archived(self) -> list[str]:
        """The names of the files in the archive."""
        names = dict.fromkeys(table.file for table in self.tables.values())
        return [name for name in names if name not in self.single]

    @property
    def single(self) -> dict[str, Remote]:
        """The files that are fetched one by one, by name."""
        return {remote.name: remote for remote in self.single_files}

    def dataset(self, split: str) -> str:
        return self.tables[split].dataset or self.name


def glue_remote(name: str, size: int, sha256: str, base: str = BASE) -> Remote:
    return Remote(base + name, size, sha256)


def train_dev_test(columns: str, test: str) -> dict[str, Table]:
    """The three files of most tasks, by the columns of the first two and of the last."""
    return {
        "train": Table("train.tsv", tuple(columns.split())),
        "valid": Table("dev.tsv", tuple(columns.split())),
        "test": Table("test.tsv", tuple(test.split())),
    }


BINARY = ("0", "1")
COLA = ("source", "label", "mark", "sentence")
STS_B = "index genre filename year old_index source1 source2 sentence1 sentence2"
MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
MNLI = tuple(
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
    "sentence2_parse sentence1 sentence2".split()
)
MNLI_DEV = (*MNLI, "label1", "label2", "label3", "label4", "label5", "gold_label")

TASKS = {
    task.name: task
    for task in (
        GlueTask(
            "cola",
            "CoLA",
            sentences=("sentence",),
            label="label",
            classes=BINARY,
            metrics=("MCC", "accuracy"),
            tables={
                "train": Table("train.tsv", COLA, header=False),
                "valid": Table("dev.tsv", COLA, header=False),
                "test": Table("test.tsv", ("index", "sentence")),
            },
            archive=glue_remote(
                "CoLA.zip",
                376_971,
                "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff",
            ),
        ),
        GlueTask(
            "sst-2",
            "SST-2",
            sentences=("sentence",),
            label="label",
            classes=BINARY,
            metrics=("accuracy",),
            tables=train_dev_test("sentence label", "index sentence"),
            archive=glue_remote(
                "SST-2.zip",
                7_439_277,
                "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
            ),
        ),
        GlueTask(
            "mrpc",
            "MRPC",
            sentences=("#1 String", "#2 String"),
            label="Quality",
            classes=BINARY,
            metrics=("F1", "accuracy"),
            tables={
                "train": Table("msr_paraphrase_train.txt", MRPC, held_out=False),
                "valid": Table("msr_paraphrase_train.txt", MRPC, held_out=True),
                "test": Table("msr_paraphrase_test.txt", MRPC),
            },
            single_files=(
                glue_remote(
                    "msr_paraphrase_train.txt",
                    1_047_044,
                    "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89",
                    SENTEVAL,
                ),
                glue_remote(
                    "msr_paraphrase_test.txt",
                    441_275,
                    "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784",
                    SENTEVAL,
                ),
                glue_remote(
                    "mrpc_dev_ids.tsv",
                    6_222,
                    "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7",
                ),
            ),
            dev_ids=Table("mrpc_dev_ids.tsv", ("#1 ID", "#2 ID"), header=False),
        ),
        GlueTask(
            "qqp",
            "QQP",
            sentences=("question1", "question2"),
            label="is_duplicate",
            classes=BINARY,
            metrics=("F1", "accuracy"),
            tables=train_dev_test(
                "id qid1 qid2 question1 question2 is_duplicate", "id question1 question2"
            ),
            archive=glue_remote(
                "QQP-clean.zip",
                41_696_084,
                "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0",
            ),
            drops_odd_lines=True,
        ),
        GlueTask(
            "sts-b",
            "STS-B",
            sentences=("sentence1", "sentence2"),
            label="score",
            classes=None,
            metrics=("Pearson", "Spearman"),
            tables=train_dev_test(f"{STS_B} score", STS_B),
            archive=glue_remote(
                "STS-B.zip",
                802_872,
                "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85",
            ),
        ),
        GlueTask(
            "mnli",
            "MNLI",
            sentences=("sentence1", "sentence2"),
            label="gold_label",
            classes=("contradiction", "entailment", "neutral"),
            metrics=("accuracy",),
            tables={
                "train": Table("train.tsv", (*MNLI, "label1", "gold_label")),
                "valid": Table("dev_matched.tsv", MNLI_DEV, dataset="mnli-m"),
                "valid1": Table("dev_mismatched.tsv", MNLI_DEV, dataset="mnli-mm"),
                "test": Table("test_matched.tsv", MNLI, dataset="mnli-m"),
                "test1": Table("test_mismatched.tsv", MNLI, dataset="mnli-mm"),
                "test2": Table("AX.tsv", ("index", "sentence1", "sentence2"), dataset="ax"),
            },
            archive=glue_remote(
                "MNLI.zip",
                312_783_507,
                "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633",
            ),
            single_files=(
                glue_remote(
                    "AX.tsv",
                    222_257,
                    "0e13510b1bb14436ff7e2ee82338f0efb0133ecf2e73507a697dc210db3f05fd",
                ),
            ),
        ),
        GlueTask(
            "qnli",
            "QNLI",
            sentences=("question", "sentence"),
            label="label",
            classes=("entailment", "not_entailment"),
            metrics=("accuracy",),
            tables=train_dev_test("index question sentence label", "index question sentence"),
            archive=glue_remote(
                "QNLIv2.zip",
                10_627_589,
                "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5",
            ),
        ),
        GlueTask(
            "rte",
            "RTE",
            sentences=("sentence1", "sentence2"),
            label="label",
            classes=("entailment", "not_entailment"),
            metrics=("accuracy",),
            tables=train_dev_test("index sentence1 sentence2 label", "index sentence1 sentence2"),
            archive=glue_remote(
                "RTE.zip",
                697_150,
                "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee",
            ),
        ),
    )
}
