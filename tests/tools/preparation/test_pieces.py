import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.preparation.pieces import encode

from ...support.preparations import load, prepare
from ...support.text import toy_pairs, write_pairs

ROOT = Path(__file__).parents[3]
# the installed command, which reports what it has imported
COMMAND = """
import sys
from intra_distill.cli import main
main()
print("imported:", *sorted({"torch", "fairseq"} & sys.modules.keys()), file=sys.stderr)
"""
ODD = [
    ("", ""),
    (" Ab\u3000ab ", "BA\tba\xa0DE"),
    ("Ab 漢 </s> <pad> <unk>", "½ ba ﬁ １"),
    ("A\u0308b\u200b", "\u2028ba\x85ba\rx"),
    ("İ ẞ", "</s>"),
]


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("rule", ["nmt_nfkc", "identity"])
def test_pieces_are_those_of_the_data_directory(toy, lowercase, rule):
    write_pairs(toy.train, [*toy_pairs(200, 0), ("Ab ½ e", "BA ½ e")])
    write_pairs(toy.valid, [*toy_pairs(20, 1), *ODD], end="\r\n")
    prepare(toy, lowercase=lowercase, normalization=rule)
    data = load(toy.destdir, "valid")
    for lang, side in (("de", data.src), ("en", data.tgt)):
        with open(f"{toy.valid}.{lang}", "rb") as text:
            lines = list(encode(toy.destdir, text))
        assert len(lines) == len(side) and all(" ".join(line.split()) == line for line in lines)
        for line, tokens in zip(lines, side):
            assert (
                data.src_dict.encode_line(line, add_if_not_exist=False).tolist() == tokens.tolist()
            )
    assert any("<unk>" in line for line in lines)
    assert lines[20] == ""  # of an empty line


@pytest.fixture
def command(finished, tmp_path) -> Callable[..., subprocess.Popen]:
    """Start the installed command on the finished directory."""
    script = tmp_path / "intra-distill"
    script.write_text(COMMAND)

    def start(**environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(script), "encode", str(finished.destdir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )

    return start


def test_each_line_is_answered_at_once_without_fairseq(command, finished):
    process = command(PYTHONIOENCODING="ascii")
    for line in ("Ab ab\n", "\n", "ba"):
        process.stdin.write(line.encode())
        process.stdin.flush()
        if not line.endswith("\n"):
            process.stdin.close()
        answer = process.stdout.readline().decode("utf-8")  # or this would wait without end
        assert answer == "".join(encode(finished.destdir, [line.encode()])) + "\n"
    assert process.stdout.read() == b"" and process.wait() == 0
    assert process.stderr.read().decode().split() == ["imported:"]


def test_it_ends_quietly_when_nobody_reads_on(command):
    process = command()
    process.stdout.close()
    process.stdin.write(b"Ab\n" * 9)
    process.stdin.close()
    assert process.wait() == 141 and process.stderr.read() == b""


def test_it_ends_quietly_on_ctrl_c(finished, monkeypatch, capfd):
    def typed():
        yield b"Ab\n"
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=typed()))
    with pytest.raises(SystemExit, match="130"):
        main(["encode", str(finished.destdir)])
    assert len(capfd.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    "text, lines, message",
    [
        (b"Ab\ncaf\xe9\nba\n", 1, "the standard input, line 2: not UTF-8"),
        ("\ufeffAb\n".encode(), 0, "the standard input, line 1: a byte order mark or NUL"),
        (b"Ab\nba\na\0b", 2, "the standard input, line 3: a byte order mark or NUL"),
        ("Ab\n".encode("utf-16"), 0, "the standard input, line 1: not UTF-8"),
    ],
)
def test_bad_text_is_named_by_its_line(finished, monkeypatch, capfd, text, lines, message):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(SystemExit) as ending:
        main(["encode", str(finished.destdir)])
    assert ending.value.code.startswith(f"intra-distill encode: {message}")
    assert len(capfd.readouterr().out.splitlines()) == lines


def test_a_rule_that_sentencepiece_has_not_is_refused(toy):
    prepare(toy)
    report = toy.destdir / "prepare.json"
    report.write_text(report.read_text().replace('"nmt_nfkc"', '"nfkx"'))
    with pytest.raises(UserError, match="has no rule 'nfkx'"):
        next(encode(toy.destdir, [b"Ab\n"]))
