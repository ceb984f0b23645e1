"""Small versions of the recipes' data: the official layout and dialect, with text of our own."""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from intra_distill.tools.corpora.wmt17 import CORPORA, Corpus

from .archives import tgz

Pairs = list[tuple[str, str]]

IWSLT14_PAIRS = tuple(f"{lang}-en" for lang in "ar de es fa he it nl pl".split())
TEST_SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
WORDS = {
    "en": "house tree water bread friend city night book road bird hand sea",
    "ar": "بيت شجرة ماء خبز صديق مدينة ليل كتاب طريق طائر يد بحر",
    "de": "Haus Baum Wasser Brot Freund Stadt Nacht Buch Straße Vogel Hand Meer",
    "es": "casa árbol agua pan amigo ciudad noche libro camino pájaro mano mar",
    "fa": "خانه درخت آب نان دوست شهر شب کتاب راه پرنده دست دریا",
    "he": "בית עץ מים לחם חבר עיר לילה ספר דרך ציפור יד ים",
    "it": "casa albero acqua pane amico città notte libro strada uccello mano mare",
    "nl": "huis boom water brood vriend stad nacht boek weg vogel hand zee",
    "pl": "dom drzewo woda chleb przyjaciel miasto noc książka droga ptak ręka morze",
}


class Line(NamedTuple):
    """A sentence as it stands in an official file, and as it is meant."""

    raw: str
    text: str


NASTY = [
    Line("bread &amp; water", "bread & water"),
    Line("bread & water &amp water; AT&T", "bread & water &amp water; AT&T"),
    Line("&quot;bread&quot; &#39;n&#39; &lt;water&gt; &#x2014;", "\"bread\" 'n' <water> —"),
    Line("once &amp;quot; only &amp;amp;", "once &quot; only &amp;"),
    Line("bread&#10;water\r.", "bread water ."),
    Line("<3 the <url> of 1 < 2", "<3 the <url> of 1 < 2"),
    Line(*["می\u200cخواهم \u200fשלום\u200e \u2066x\u2069 \ufeffy"] * 2),
    Line(*["one\u2028line\x85of\xa0text"] * 2),
    Line("  bread  water \t", "bread  water"),
    Line(*["\xa0bread\u3000"] * 2),
    Line("", ""),
]


TWO_LINES = Line("two \n lines", "two lines")
QUOTED = Line("it’s &rsquo;", "it's '")


class Talk(NamedTuple):
    title: tuple[Line, Line]
    description: tuple[Line, Line]
    lines: list[tuple[Line, Line]]


def sentences(langs: tuple[str, str], number: int, seed: str) -> list[tuple[Line, Line]]:
    """Pairs of 3 to 9 words that translate each other one by one: a model can learn them."""
    rng = random.Random(seed)
    lexicon = list(zip(*(WORDS[lang].split() for lang in langs)))
    drawn = [rng.choices(lexicon, k=rng.randint(3, 9)) for _ in range(number)]
    texts = [tuple(" ".join(side) + " ." for side in zip(*words)) for words in drawn]
    return [(Line(source, source), Line(target, target)) for source, target in texts]


def talks(pair: str, name: str, number: int) -> list[Talk]:
    """The talks of a set; the first one has the nasty lines, against plain ones and each other."""
    langs = tuple(pair.split("-"))
    made = []
    for talk in range(number):
        title, description, *lines = sentences(langs, 32, f"{pair} {name} {talk}")
        if talk == 0:
            plain = Line("bread .", "bread .")
            lines += [(line, line) for line in NASTY]
            lines += [(Line("", ""), plain), (plain, Line("", ""))]
        made.append(Talk(title, description, lines))
    return made


def iwslt14_talks(pair: str) -> dict[str, list[Talk]]:
    """All sets of a pair: TEDx is German only, and Polish lacks a year."""
    sets = [name for name in TEST_SETS if pair == "de-en" or name != "TEDX.dev2012"]
    if pair == "pl-en":
        sets.remove("TED.tst2011")
    return {"train": talks(pair, "train", 10), **{name: talks(pair, name, 2) for name in sets}}


def iwslt14_text(pair: str) -> dict[str, Pairs]:
    """What is to come out of a pair's archive: its train and test pairs."""
    train: Pairs = []
    test: Pairs = []
    for name, made in iwslt14_talks(pair).items():
        for talk in made:
            if name == "train":
                spoken = [talk.title, talk.description, *talk.lines]
                train += [(source.text, target.text) for source, target in spoken]
            else:
                spoken = [*talk.lines, (TWO_LINES, TWO_LINES), (QUOTED, QUOTED)]
                test += [(source.text, target.text) for source, target in spoken]
    return {"train": train, "test": test}


def train_tags(made: list[Talk], side: int) -> bytes:
    """One side of train.tags, with the tags of later releases in the first talk's English."""
    lines = []
    for number, talk in enumerate(made):
        lines += [
            f"<url>http://www.ted.com/talks/lang/eng/number_{number}.html</url>",
            "<keywords>talks, bread &amp; water</keywords>",
            f"<talkid>{number}</talkid>",
            f"<title>{talk.title[side].raw}</title>",
            f"<description>{talk.description[side].raw}</description>",
            *(line[side].raw for line in talk.lines),
        ]
        if number == side == 1:
            lines += [
                "<speaker>A. Nobody</speaker>",
                '<reviewer href="http://www.ted.com/profiles/1">B. Nobody</reviewer>',
                '<translator href="http://www.ted.com/profiles/2">C. Nobody</translator>',
            ]
    return "".join(f"{line}\n" for line in lines).encode()


def mteval_xml(made: list[Talk], name: str, langs: list[str], side: int) -> bytes:
    """One side of a test set in the dialect of mteval, as the release has it."""
    sets = {0: f'srcset setid="{name}" srclang="{langs[0]}"'}
    sets[1] = f'refset setid="{name}" srclang="{langs[0]}" trglang="{langs[1]}" refid="ref"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<mteval>", f"<{sets[side]}>"]
    for number, talk in enumerate(made, start=1):
        spoken = [*(line[side].raw for line in talk.lines), TWO_LINES.raw, QUOTED.raw]
        lines += [
            f'<doc docid="{number}" genre="lectures">',
            f"<url>http://www.ted.com/talks/lang/eng/number_{number}.html</url>",
            f"<talkid>{number}</talkid>",
            f"<title>{talk.title[side].raw}</title>",
            f"<description>{talk.description[side].raw}</description>",
            *(f'<seg id="{k}"> {raw} </seg>' for k, raw in enumerate(spoken, start=1)),
            "</doc>",
        ]
    lines += [f"</{sets[side].split()[0]}>", "</mteval>"]
    return "".join(f"{line}\n" for line in lines).encode()


def iwslt14_files(pair: str) -> dict[str, bytes]:
    """The members of a pair's archive."""
    langs = pair.split("-")
    files = {f"{pair}/README": b"text of our own\n", f"{pair}/train.en": b"more of it\n"}
    for name, made in iwslt14_talks(pair).items():
        for side, lang in enumerate(langs):
            if name == "train":
                files[f"{pair}/train.tags.{pair}.{lang}"] = train_tags(made, side)
            else:
                member = f"{pair}/IWSLT14.{name}.{pair}.{lang}.xml"
                files[member] = mteval_xml(made, name, langs, side)
    return files


def write_iwslt14_release(folder: Path, pairs: Iterable[str] = IWSLT14_PAIRS) -> Path:
    """Write 2014-01.tgz, and its inner archives below 2014-01/ as a mirror has them."""
    members = {"2014-01/README": b"text of our own\n"}
    for pair in pairs:
        member = f"2014-01/texts/{pair[:2]}/en/{pair}.tgz"
        members[member] = tgz(iwslt14_files(pair))
        path = folder / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(members[member])
    release = folder / "2014-01.tgz"
    release.write_bytes(tgz(members))
    return release


def wmt17_text(lines: int = 200) -> dict[str, Pairs]:
    """The English and German lines of each training corpus."""
    text = {}
    for name in CORPORA:
        pairs = sentences(("en", "de"), lines, name)
        text[name] = [(english.text, german.text) for english, german in pairs]
        text[name] += [("", "Brot ."), ("bread & water\u2028\x85", "Brot &amp; Wasser")]
    return text


def wmt17_files(lines: int = 200) -> dict[str, dict[str, bytes]]:
    """The members of each corpus's archive, other languages among them."""
    files = {}
    for name, pairs in wmt17_text(lines).items():
        prefix = CORPORA[name].prefix
        files[name] = {f"{prefix.replace('de-en', 'fr-en')}.fr": b"pain .\n"}
        for lang, side in zip(("en", "de"), zip(*pairs)):
            files[name][f"{prefix}.{lang}"] = "".join(f"{line}\n" for line in side).encode()
    return files


def write_wmt17_archives(folder: Path, lines: int = 200) -> dict[str, Corpus]:
    """Write the three archives, and return the CORPORA that wmt17 takes them for the right ones."""
    folder.mkdir(parents=True, exist_ok=True)
    corpora = {}
    for name, members in wmt17_files(lines).items():
        content = tgz(members)
        (folder / CORPORA[name].remote.name).write_bytes(content)
        remote = replace(
            CORPORA[name].remote, size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        corpora[name] = CORPORA[name]._replace(remote=remote)
    return corpora


def write_wmt17_files(folder: Path, lines: int = 200) -> None:
    """Write what the three archives unpack to."""
    for members in wmt17_files(lines).values():
        for name, content in members.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def newstest_text(lines: int = 20) -> Pairs:
    return [(e.text, d.text) for e, d in sentences(("en", "de"), lines, "newstest2014")]


def write_newstest2014(folder: Path, lines: int = 20) -> None:
    """Write newstest2014 as sacreBLEU keeps it in ``folder``, its SACREBLEU."""
    english, german = zip(*newstest_text(lines))
    fields = {"src": english, "ref": german}
    fields |= {name: [name] * lines for name in ("docid", "genre", "origlang")}
    (folder / "wmt14" / "full").mkdir(parents=True)
    for name, values in fields.items():
        path = folder / "wmt14" / "full" / f"wmt14_full.en-de.{name}"
        path.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
