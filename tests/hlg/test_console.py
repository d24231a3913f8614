"""What is printed: readable on any terminal, without what one acts on, and names can be read back."""

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlg.console import printable, say, say_error
from repro import errors as of_reports
from repro.markdown import md

HOSTILE = "a\x1b[2J\u202eb\udcc4\n\\x1b @all <img> https://x.org"
SAFE = r"a\x1b[2J\u202eb\udcc4\n\\x1b @all <img> https://x.org"
SHORT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def _read_back(text: str) -> str:
    escape = r"\\(?:([nrt\\])|x(..)|u(....)|U(.{8}))"
    return re.sub(escape, lambda m: SHORT[m[1]] if m[1] else chr(int(m[2] or m[3] or m[4], 16)), text)


@given(st.text(st.characters(exclude_categories=())))
def test_an_escaped_name_is_one_line_that_a_terminal_shows_and_gives_the_name_back(name: str) -> None:
    assert printable(name).isprintable()
    assert _read_back(printable(name)) == name
    assert of_reports.shown_name(name) == printable(" ".join(name.split()))


def test_a_name_that_looks_escaped_is_told_from_one_that_was() -> None:
    assert printable(HOSTILE) == SAFE
    assert printable("C:\\data") == "C:\\data"


@pytest.mark.parametrize("tell", [say, of_reports.tell])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_can_be_printed_in_any_encoding(tell: object, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    tell("one – 猫", HOSTILE, file=stream)  # type: ignore[operator]
    stream.seek(0)
    said = stream.read()
    assert said.splitlines()[1:] == [r"a\x1b[2J\u202eb\udcc4", r"\x1b @all <img> https://x.org"]
    assert ("–" in said) == (encoding == "utf-8")


@pytest.mark.parametrize("tell", [say, of_reports.tell])
@pytest.mark.parametrize("closed", [True, False])
def test_what_nobody_reads_any_more_is_dropped_and_a_full_disk_is_told(
    tell: Any, closed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe, Path("/dev/full").open("w") as full:
        for _ in range(2):
            tell("text", file=pipe if closed else full)
    told = "" if closed else "/dev/full: can't be written (No space left on device), so what is printed there is lost\n"
    assert capsys.readouterr().err.partition(": ")[2] == told


@pytest.mark.parametrize("tell", [say_error, of_reports.tell_error])
def test_an_error_is_one_line(tell: object, capsys: pytest.CaptureFixture[str]) -> None:
    tell("/data/x\nok: no error")  # type: ignore[operator]
    assert capsys.readouterr().err == "error: /data/x\\nok: no error\n"


def test_a_name_in_markdown_mentions_nobody_and_links_nowhere() -> None:
    assert md("@all <b> https://x.org www.x.org \udcc4") == (r"@&#8203;all &lt;b&gt; https\://x.org www\.x.org \\udcc4")
