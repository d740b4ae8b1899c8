"""Read UTF-8 text files, with or without a byte order mark, in lines as editors count them. Imports no torch."""

import re
from pathlib import Path

BOM = "\ufeff"
# First bytes of files that are not UTF-8 text.
OTHERS = {
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "a parquet file",
}
_RETURNS = re.compile(r"\r+\n?")


def read(path: str | Path) -> str:
    """Read a file's text without byte order marks; raises ValueError naming file, line and byte if it is not UTF-8."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    for beginning, what in OTHERS.items():
        if data.startswith(beginning):
            raise ValueError(f"{path}: is {what}; save it as plain text in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: line {_line(data, error.start)} is not UTF-8 (byte {error.start} of the file is "
            f"0x{data[error.start]:02x}{_perhaps(data, error.start)}); save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{path}: line {_line(data, data.index(0))} has a NUL byte (byte {data.index(0)} of the file), so it is "
            "UTF-16 without a byte order mark, or damaged; save the file as UTF-8"
        )
    # Concatenated files keep their byte order marks.
    return text.replace(f"\n{BOM}", "\n")


def lines(text: str) -> list[str]:
    r"""Split at \n, \r\n and \r, as `open` and pandas do; other separators belong to the text."""
    # A file written twice in text mode on Windows ends its lines in \r\r\n.
    return _RETURNS.sub("\n", text).split("\n") if "\r" in text else text.split("\n")


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _perhaps(data: bytes, at: int) -> str:
    """Say which letter the byte is in Windows-1252, which has the letters of Latin-1 at the same places."""
    letter = data[at : at + 1].decode("cp1252", errors="ignore")
    return f", {letter!r} in Latin-1" if letter.isprintable() and letter else ""
