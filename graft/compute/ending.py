"""How a command or program ends: what the user or the disk got wrong is told in one sentence, and a signal leaves
nothing half-written. The one place for both `python -m graft` and the programs of the workflow."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from graft.compute.stopping import Stopped

# Python itself makes only Ctrl-C an exception. SIGHUP: its terminal is gone; SIGUSR1: SLURM, where it is asked for.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WORDS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "is a folder; a file is needed",
    errno.EEXIST: "is there already; name another place, or remove it",
    errno.ENOTEMPTY: "is there already, with something in it; name another place, or remove it",
    errno.EROFS: "is on a read-only file system; name another place",
    errno.ENAMETOOLONG: "the name is too long for its file system; name a shorter one",
    errno.ELOOP: "is a link that leads back to itself; name what it should lead to",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.EIO: "its disk failed, or is full",
    errno.ESTALE: "its file server no longer knows it; call this again",
}


_WITHOUT_PLACE = {
    errno.ENOENT: "the working folder is gone; go to one that is there",
    errno.ENOSPC: "no space is left where this output goes; free some, or send it elsewhere",
}


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`. What is about the user's input or the disk ends in `name: one sentence` on stderr and exit status 1,
    a signal in status 128 + its number with nothing half-written left; a fault of ours keeps its traceback."""
    for number in SIGNALS:
        # Under nohup SIGHUP is to be ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    _mend_output()
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        # Who reads has seen enough (`| head`); what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except Exception as error:
        told = sentence(error)
        if told is None:
            raise
        print(f"{name}: {told}", file=sys.stderr)
        raise SystemExit(1) from None


def sentence(error: Exception) -> str | None:
    """What is wrong, where, and what would be right; None for what only a fault of ours can be."""
    if isinstance(error, OSError):
        return _of_disk(error)
    return str(error) if isinstance(error, (ValueError, FloatingPointError, Stopped)) else None


def _of_disk(error: OSError) -> str:
    """An error of the operating system, which names its file at most; a message of our own or of a library stays."""
    # Of a rename, the place that it was to go to.
    path, number = error.filename2 or error.filename, error.errno
    if number is None and (unread := re.search(r"No such file or directory: (.+)", str(error))):
        # So safetensors has it of a file that it may not read, too.
        path, number = unread[1], errno.EACCES if os.path.exists(unread[1]) else errno.ENOENT
    if number is None or not isinstance(path, (str, bytes, os.PathLike)):
        return _WITHOUT_PLACE.get(number or 0) or " ".join(str(error).split())
    place = Path(os.fsdecode(path))
    if number in FULL:
        return f"{place}: {_full(place, number)}"
    if number == errno.ENOTDIR or (number == errno.EEXIST and place.is_file()):
        file = next((part for part in (place, *place.parents) if part.is_file()), place)
        return f"{file} is a file, where a folder is needed" + (f" for {place}" if file != place else "")
    if number in (errno.EACCES, errno.EPERM):
        return f"{place}: {_refused(place)}"
    words = _WORDS.get(number, error.strerror or "cannot be used")
    return f"{place} {words}" if words.startswith("is ") else f"{place}: {words}"


def _full(place: Path, number: int) -> str:
    if number == errno.EFBIG:
        return "the file grew beyond what this process may write (ulimit -f)"
    if number == errno.EDQUOT:
        return "your quota on its disk is used up; free some, or name another place"
    folder = _existing(place)
    free = f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB are free)" if folder else ""
    other = "set TMPDIR to a folder with more" if _is_scratch(place) else "name another place"
    return f"no space is left on its disk{free}; free some, or {other}"


def _is_scratch(place: Path) -> bool:
    """Whether a path lies in a folder that was made for this call alone (by tempfile)."""
    own = tuple(f"{tempfile.gettempdir()}/{prefix}" for prefix in ("graft-", tempfile.gettempprefix()))
    return str(place.absolute()).startswith(own)


def _refused(place: Path) -> str:
    found, who = _existing(place), f"this user (uid {os.geteuid()})"
    # A file is replaced by another that is written beside it.
    if found == place and os.access(place, os.R_OK | os.W_OK):
        found = place.parent
    what = "read or write it" if found in (None, place) else f"write in {found}"
    return f"{who} may not {what}; name another place, or change its mode"


def _existing(place: Path) -> Path | None:
    """The path, or the nearest folder above it that is there; None where even that cannot be told."""
    for part in (place, *place.absolute().parents):
        try:
            if part.exists():
                return part
        except OSError:
            continue
    return None


def _mend_output() -> None:
    """Make stdout and stderr take whatever is printed: nowhere where they were closed, ? for what they have no letter
    for."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _stop(number: int, frame: FrameType | None) -> None:
    # What is left to do is to clean up, which a second signal must not break off.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    # Not by print, which may be what was interrupted; and the terminal may be gone.
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno(), f"stopped by {signal.Signals(number).name}\n".encode())
    raise SystemExit(128 + number)
