"""Recognises a language by any of its names: de, DE, de_AT, deu and ger are the same."""

import re

# ISO 639-2 and 639-3 → 639-1, of the languages for which Moses or sacreBLEU has special rules
ISO_639_1 = {
    three: two
    for two, threes in {
        "as": "asm",
        "bn": "ben",
        "bo": "bod tib",
        "ca": "cat",
        "cs": "ces cze",
        "de": "deu ger",
        "el": "ell gre",
        "en": "eng",
        "es": "spa",
        "et": "est ekk",
        "fa": "fas per pes prs",
        "fi": "fin",
        "fr": "fra fre",
        "ga": "gle",
        "gu": "guj",
        "hi": "hin",
        "hu": "hun",
        "is": "isl ice",
        "it": "ita",
        "ja": "jpn",
        "km": "khm",
        "kn": "kan",
        "ko": "kor",
        "lo": "lao",
        "lt": "lit",
        "lv": "lav lvs",
        "ml": "mal",
        "mr": "mar",
        "my": "mya bur",
        "nl": "nld dut",
        "or": "ori ory",
        "pa": "pan",
        "pl": "pol",
        "pt": "por",
        "ro": "ron rum",
        "ru": "rus",
        "sk": "slk slo",
        "sl": "slv",
        "sv": "swe",
        "ta": "tam",
        "te": "tel",
        "th": "tha",
        "zh": "zho chi cmn gan hak lzh nan wuu yue",  # written with the same characters
    }.items()
    for three in threes.split()
}
WITHOUT_SPACES = {"bo", "ja", "km", "lo", "my", "th", "zh"}  # between words


def base_language(name: str) -> str:
    """Return the ISO 639-1 code of a language; without one, its name in lower case.

    Country, script and case are ignored: ``zh_CN``, ``ZH`` and ``zho_Hans`` are ``zh``.
    """
    base = re.split("[-_.@]", name, maxsplit=1)[0].lower()
    return ISO_639_1.get(base, base)
