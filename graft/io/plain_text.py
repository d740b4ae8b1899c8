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
        at, byte = error.start, data[error.start : error.start + 1]
        # Windows-1252 has the letters of Latin-1 at the same places.
        letter = byte.decode("cp1252", errors="ignore")
        perhaps = f", {letter!r} in Latin-1" if letter.isprintable() and letter else ""
        raise ValueError(
            f"{path}: line {_line(data, at)} is not UTF-8 (byte {at} of the file is 0x{byte.hex()}{perhaps}); "
            "save the file as UTF-8"
        ) from None
    if "\0" in text:
        at = data.index(0)
        raise ValueError(
            f"{path}: line {_line(data, at)} has a NUL byte (byte {at} of the file), so it is UTF-16 without a byte "
            "order mark, or damaged; save the file as UTF-8"
        )
    # Concatenated files keep their byte order marks.
    return text.replace(f"\n{BOM}", "\n")


def lines(text: str) -> list[str]:
    r"""Split at \n, \r\n and \r, as `open` and pandas do; other separators belong to the text."""
    # A file written twice in text mode on Windows ends its lines in \r\r\n.
    return _RETURNS.sub("\n", text).split("\n") if "\r" in text else text.split("\n")


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1
