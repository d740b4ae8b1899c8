import codecs
import gzip

import pytest

from graft.io import plain_text


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.txt"


def test_only_newlines_and_carriage_returns_end_lines(file):
    text = "line\u2028separator\nnext\x85line\r\nvertical\x0btab\rform\x0cfeed\r\r\nlast"
    file.write_bytes(text.encode())
    assert plain_text.lines(plain_text.read(file)) == [
        "line\u2028separator", "next\x85line", "vertical\x0btab", "form\x0cfeed", "last"
    ]  # fmt: skip


def test_byte_order_marks_are_no_text(file):
    file.write_bytes(codecs.BOM_UTF8 + b"one\n" + codecs.BOM_UTF8 + b"two\n")
    assert plain_text.read(file) == "one\ntwo\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "one\ncafé\n".encode("latin-1"),
            r"line 2 is not UTF-8 \(byte 7 of the file is 0xe9, 'é' in Latin-1\); save the file as UTF-8",
        ),
        (b"one\x81\n", r"line 1 is not UTF-8 \(byte 3 of the file is 0x81\); save"),
        ("one\n".encode("utf-16"), "is text in UTF-16; save it as plain text in UTF-8"),
        ("one\n".encode("utf-16-le"), r"line 1 has a NUL byte \(byte 1 of the file\), so it is UTF-16 without"),
        (b"one\ntwo \0\n", r"line 2 has a NUL byte \(byte 8 of the file\)"),
        (gzip.compress(b"one\n", mtime=0), "is compressed by gzip; save it as plain text in UTF-8"),
    ],
)
def test_other_files_are_refused_with_line_and_byte(data, message, file):
    file.write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        plain_text.read(file)
    assert str(error.value).startswith(f"{file}: ") and len(str(error.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_named(file):
    with pytest.raises(ValueError, match=r"file.txt: cannot be read \(No such file"):
        plain_text.read(file)
