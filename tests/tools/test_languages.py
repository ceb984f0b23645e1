import pytest

from intra_distill.tools.languages import base_language


@pytest.mark.parametrize(
    "names, language",
    [
        ("zh zh_CN zh_TW zh-Hant ZH zho zho_Hans chi cmn yue", "zh"),
        ("ja JA ja_JP jpn jpn_Jpan ja_JP.UTF-8 ja@x", "ja"),
        ("ko kor kor_Hang ko_KR", "ko"),
        ("de DE de_AT deu ger deu_Latn", "de"),
        ("fa pes prs fas", "fa"),
        ("tdt tdt_Latn", "tdt"),
        ("xx_YY", "xx"),
    ],
)
def test_a_language_goes_by_many_names(names: str, language: str) -> None:
    assert {base_language(name) for name in names.split()} == {language}
