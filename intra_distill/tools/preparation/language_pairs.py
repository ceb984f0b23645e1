"""Checks what a data directory of several language pairs is made from: the options and the text."""

import os
from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from ...errors import UserError
from ..prepared import DirectionFormat
from .request import (
    Preparation,
    TranslationPreparation,
    check_inputs,
    check_lang,
    check_options,
    option_of,
    recorded_options,
)

Inputs = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class PairPreparation(TranslationPreparation):
    """The text of one language pair, of which one direction or both are translated.

    Its files are named after the first direction.

    Attributes:
        directions: SOURCE-TARGET each
    """

    directions: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.directions[0]

    @property
    def text_format(self) -> DirectionFormat:
        return self.formats[0]

    @property
    def formats(self) -> list[DirectionFormat]:
        """The format of each direction."""
        rule = self.normalization, self.lowercase, self.name
        return [DirectionFormat(*direction.split("-"), *rule) for direction in self.directions]


@dataclass(frozen=True, kw_only=True)
class MultilingualPreparation(Preparation):
    """The parallel text to prepare, and how: the options of ``intra-distill prepare-multilingual``.

    The raw text of a pair is in the files PREFIX.SOURCE-TARGET.LANG or PREFIX.TARGET-SOURCE.LANG;
    or in PREFIX.LANG, where line N is the same sentence in all languages.

    Attributes:
        lang_pairs: the directions that are translated, SOURCE-TARGET each
    """

    lang_pairs: tuple[str, ...]

    @property
    def langs(self) -> list[str]:
        return list(dict.fromkeys(lang for pair in self.lang_pairs for lang in pair.split("-")))

    @cached_property
    def pairs(self) -> list[PairPreparation]:
        """The preparation of each pair of languages; UserError if there is no text of one."""
        directions: dict[frozenset[str], list[str]] = {}
        for direction in self.lang_pairs:
            directions.setdefault(frozenset(direction.split("-")), []).append(direction)
        return [self._pair(tuple(names)) for names in directions.values()]

    def _pair(self, directions: tuple[str, ...]) -> PairPreparation:
        options = {field.name: getattr(self, field.name) for field in fields(Preparation)}
        source, target = langs = directions[0].split("-")
        options["train"] = find_text("train", self.train, langs)
        options["valid"] = find_text("valid", self.valid, langs)
        options["test"] = tuple(find_text("test", prefix, langs) for prefix in self.test)
        return PairPreparation(
            **options, source_lang=source, target_lang=target, directions=directions
        )


def check_multilingual(preparation: MultilingualPreparation) -> None:
    """Raise UserError for an option that can never work, whatever the text is."""
    for pair in preparation.lang_pairs:
        langs = pair.split("-")
        if len(langs) != 2 or not all(langs):
            raise UserError(f"--lang-pairs {pair!r} is no pair: write SOURCE-TARGET, such as de-en")
        for lang in langs:
            check_lang("--lang-pairs", lang)
        if langs[0] == langs[1]:
            raise UserError(f"--lang-pairs {pair} translates {langs[0]} into itself")
    for pair, times in Counter(preparation.lang_pairs).items():
        if times > 1:
            raise UserError(f"--lang-pairs names {pair} {times} times: name each pair once")
    check_options(preparation)


def find_text(split: str, prefix: str, langs: list[str]) -> str:
    """The prefix of a pair's own text, or of the text of all languages.

    Raises:
        UserError: there is neither
    """
    source, target = langs
    prefixes = (f"{prefix}.{source}-{target}", f"{prefix}.{target}-{source}", prefix)
    for name in prefixes:
        if any(os.path.lexists(f"{name}.{lang}") for lang in langs):
            return name
    files = " nor ".join(f"{name}.{source}" for name in prefixes)
    raise UserError(
        f"{option_of(split)} {prefix} has no text of {source}-{target}: there is neither {files}"
    )


def make_multilingual_request(preparation: MultilingualPreparation) -> dict[str, Any]:
    """Return what the files depend on, with the ``inputs`` by SPLIT.PAIR.LANG.

    Raises:
        UserError: a text is missing, or wrong as in :func:`.request.check_inputs`
    """
    options = recorded_options(preparation)
    options["lang_pairs"] = ",".join(preparation.lang_pairs)
    inputs: Inputs = {}
    for pair in preparation.pairs:
        for name, entry in check_inputs(pair).items():
            split, lang = name.split(".")
            inputs[f"{split}.{pair.name}.{lang}"] = entry
    return {"options": options, "inputs": inputs}


def inputs_of(pair: PairPreparation, inputs: Inputs) -> Inputs:
    """The inputs of a pair, by SPLIT.LANG."""
    return {
        f"{split}.{lang}": inputs[f"{split}.{pair.name}.{lang}"]
        for split in pair.prefixes
        for lang in pair.langs
    }
