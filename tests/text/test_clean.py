"""What becomes of anybody's names before somebody reads them."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenbench.text import clean, cleaned, storable

ANY = st.text(st.characters(exclude_categories=()))
HOSTILE = st.lists(
    st.sampled_from(
        ["::", "##", "#", "[", "error", " ", "\n", "\r", "\x1b", "a", "\u200d", "\u061c", "क", "\\"]
    )
).map("".join)
UNSEEN = ("Cc", "Cs", "Zl", "Zp")
SHAPING = range(0x13430, 0x13460)
"""Controls of hieroglyphs, which have a place in ordinary text, as have marks of numbers."""
NUMBERS = (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)


def test_no_letter_of_unicode_is_obeyed_or_unseen() -> None:
    ordinary = []
    for code in range(0x110000):
        letter = chr(code)
        kind = unicodedata.category(letter)
        if kind in UNSEEN or (kind == "Cf" and code not in (*SHAPING, *NUMBERS)):
            assert clean(f"a{letter}b") == f"a{letter.encode('unicode-escape').decode()}b"
        elif kind not in ("Cf", "Cn"):
            ordinary.append(letter)

    assert clean("".join(ordinary)) == "".join(ordinary)


@given(st.one_of(ANY, HOSTILE))
@example("\u061c\u200d")
@example("###[error]")
def test_what_was_cleaned_stays_as_it_is(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.one_of(ANY, HOSTILE))
def test_it_is_one_line_that_is_no_command_and_that_any_file_takes(text: str) -> None:
    found = clean(text)

    assert len(found.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in UNSEEN for letter in found)
    assert not found.lstrip().startswith("::")
    assert "##[" not in found
    assert found.encode("utf-8").decode("utf-8") == found


@pytest.mark.parametrize(
    "text",
    [
        "simple_cnn.m", "a: b :: c", "C:\\x1b", "ä ö ü — – “quoted”", "e\u0301 combining",
        "模型 大", "20\xa0km", "עברית",
        "می\u200cخواهم", "क्\u200dष", "ഒരാള്\u200d",
        "👩🏽\u200d🔬 👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)  # fmt: skip
def test_ordinary_text_of_any_script_is_unchanged(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("\x1b]8;;http://x\x07link", r"\x1b]8;;http://x\x07link"),
        ("a\r\nb\tc\x00", r"a\r\nb\tc\x00"),
        ("txt\u202egnp", r"txt\u202egnp"),
        ("a\u2066b\u2028c\u200bd", r"a\u2066b\u2028c\u200bd"),
        ("a\u200db", r"a\u200db"),
        ("caf\udce9", r"caf\udce9"),
        ("::error file=x::y", r"\::error file=x::y"),
        ("  ::stop-commands::x", r"  \::stop-commands::x"),
        ("x ##[error]y ##vso[task.x]", r"x #\#[error]y #\#vso[task.x]"),
        ("section_start:1:a\r\x1b[0K", r"section_start:1:a\r\x1b[0K"),
    ],
)
def test_what_a_reader_would_obey_is_seen_instead(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_all_texts_in_a_value_are_cleaned_and_figures_stay() -> None:
    row = {"a\n": ["\x1b", ("\x07", 1.5)], "n": None}

    assert cleaned(row) == {r"a\n": [r"\x1b", (r"\x07", 1.5)], "n": None}


@given(ANY)
def test_a_database_gets_neither_nul_nor_half_letters(text: str) -> None:
    found = storable(text)

    assert "\0" not in found
    assert found.encode("utf-8").decode("utf-8") == found
    assert storable("two\nlines") == "two\nlines"
