"""Where commands print to: few letters, no room, nobody who reads."""

import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from greenbench.cli import cli
from greenbench.cli.output import show_traceback
from greenbench.text import Printing, printing
from greenbench.text.streams import fitted

SIZES = "net,energy_wh,accuracy\ns,1.0,0.80\nm,2.0,0.90\n大é,2.7,0.91\n"


class Full(StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_a_table_is_shown_in_the_letters_that_there_are(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(SIZES, encoding="utf-8")
    arguments = ["compare", str(path), "--size-column", "net", "--group", ""]

    done = CliRunner(charset=encoding).invoke(cli, arguments)

    assert done.exit_code == 0, done.exception
    is_unicode = encoding.startswith("utf")
    assert ("┃" in done.stdout) == is_unicode
    assert ("大" if is_unicode else r"\u5927") in done.stdout
    assert (r"\xe9" if encoding == "ascii" else "é") in done.stdout
    assert (" ± " in done.stdout) <= (encoding != "ascii")


@given(
    st.text(st.characters(exclude_categories=())),
    st.sampled_from(["ascii", "cp1252", "latin-1", "utf-8", "shift-jis", "nobody's"]),
)
def test_every_text_fits_every_encoding_and_what_fits_is_unchanged(
    text: str, encoding: str
) -> None:
    known = "ascii" if encoding == "nobody's" else encoding

    found = fitted(text, encoding)

    assert found.encode(known)[:0] == b""
    assert fitted(found, encoding) == found
    try:
        text.encode(known)
    except UnicodeEncodeError:
        assert found != text
    else:
        assert found == text


def test_our_own_signs_are_spelled_out() -> None:
    assert fitted("a ≤ 3 ± 1 – 2 → η² × …", "ascii") == "a <= 3 +- 1 - 2 -> eta^2 x ..."


def test_a_full_stream_raises_nothing_and_is_written_no_more() -> None:
    shown = Printing(Full())

    assert shown.write("a\n") == 2
    assert isinstance(shown.failure, OSError)
    shown.write("b\n")
    shown.for_controls.write("\x1b[0m")


@pytest.mark.parametrize("stream", [None, Full(), StringIO()])
def test_a_stream_that_is_none_or_closed_raises_nothing(stream: StringIO | None) -> None:
    if type(stream) is StringIO:
        stream.close()
    shown = printing(stream)

    print("a", file=shown)  # type: ignore[call-overload]
    shown.flush()
    assert not shown.isatty()
    assert shown.failure is not None


def test_lines_that_others_print_in_pieces_are_no_commands_either() -> None:
    text = StringIO()
    shown = Printing(text)

    for piece in ("a::b\n", "  ", "::error::x\n::", "debug::\x1b[0m\tc", " ::d\n", "##[group]\r"):
        shown.write(piece)

    assert text.getvalue() == ("a::b\n  \\::error::x\n\\::debug::\\x1b[0m\tc ::d\n#\\#[group]\\r")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_whoever_writes_bytes_or_wraps_the_stream_gets_no_further(encoding: str) -> None:
    behind = TextIOWrapper(BytesIO(), encoding=encoding)
    shown = Printing(behind)

    shown.reconfigure(encoding="utf-8", errors="strict")
    half, rest = "é\x1b[2J\n".encode()[:1], "é\x1b[2J\n".encode()[1:]
    for piece in (half, rest):
        shown.buffer.write(piece)
    for bare in (shown.buffer, shown.detach()):
        wrapped = TextIOWrapper(bare, encoding="utf-8")
        print("::error::\x1b", file=wrapped, flush=True)
        wrapped.close()

    letter = "é" if encoding == "utf-8" else "\\xe9"
    written = behind.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert written == letter + r"\x1b[2J" + 2 * "\n\\::error::\\x1b" + "\n"


def test_traceback_of_what_nobody_expected_has_no_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise KeyError("http://bob:hunter2@host:5000 \x1b[2J")
    except KeyError as error:
        show_traceback(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("KeyError: 'http://bob:***@host:5000 \\x1b[2J'\n")


def test_standard_streams_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)

    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])

    assert left.value.code == 0
    assert sys.stdout is stream


@pytest.mark.parametrize(("command", "code"), [("--version", 2), ("nothing", 2)])
def test_output_that_is_lost_is_said_and_is_no_success(
    monkeypatch: pytest.MonkeyPatch, command: str, code: int
) -> None:
    errors = StringIO()
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", errors)

    with pytest.raises(SystemExit) as left:
        cli.main([command])

    assert left.value.code == code
    assert command == "nothing" or errors.getvalue().startswith(
        "Error: standard output cannot be written (No space left on device)"
    )
