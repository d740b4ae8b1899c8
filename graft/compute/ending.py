"""How commands and programs end: one sentence for user and disk errors, and no unfinished files after a signal.

Used by both `python -m graft` and the programs of the workflow.
"""

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

# Python turns only Ctrl-C into an exception. SIGHUP: the terminal is gone; SIGUSR1: sent by SLURM on request.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# False in a process that was forked to run a program, which reports how it ended (graft.study.preload).
owns_process = True
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WORDS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "already exists; name another place, or remove it",
    errno.ENOTEMPTY: "already exists and is not empty; name another place, or remove it",
    errno.EROFS: "is on a read-only file system; name another place",
    errno.ENAMETOOLONG: "the name is too long for its file system; name a shorter one",
    errno.ELOOP: "is a link that points back to itself; name its target",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.EIO: "its disk failed, or is full",
    errno.ESTALE: "its file server no longer knows it; try again",
}
_WITHOUT_PLACE = {
    errno.ENOENT: "the working folder no longer exists; change to another",
    errno.ENOSPC: "no space is left for this output; free some, or redirect it elsewhere",
}


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`, and turn errors and signals into exit statuses.

    Errors in the user's input or on the disk print `name: one sentence` on stderr and exit with status 1. Signals clean
    up unfinished files and exit with status 128 + their number. Any other error is a bug and keeps its traceback.
    """
    for number in SIGNALS:
        # nohup makes processes ignore SIGHUP: leave it so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    _mend_output()
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        # The reader has seen enough (`| head`); discard what is still to be flushed.
        if sys.__stdout__ is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except Exception as error:
        message = sentence(error)
        if message is None:
            raise
        print(f"{name}: {message}", file=sys.stderr)
        raise SystemExit(1) from None


def sentence(error: Exception) -> str | None:
    """Say what is wrong, where, and what would be right; None for errors that can only be bugs."""
    if isinstance(error, OSError):
        return _of_disk(error)
    return str(error) if isinstance(error, (ValueError, FloatingPointError, Stopped)) else None


def _of_disk(error: OSError) -> str:
    """Describe an operating system error with its file; messages written by Graft or a library are kept."""
    # For a rename, its target.
    path, number = error.filename2 or error.filename, error.errno
    if number is None and (unread := re.search(r"No such file or directory: (.+)", str(error))):
        # safetensors says this of files that it may not read as well.
        path, number = unread[1], errno.EACCES if os.path.exists(unread[1]) else errno.ENOENT
    if number is None or not isinstance(path, (str, bytes, os.PathLike)):
        return _WITHOUT_PLACE.get(number or 0) or " ".join(str(error).split())
    place = Path(os.fsdecode(path))
    if number in FULL:
        return f"{place}: {_full(place, number)}"
    if number == errno.ENOTDIR or (number == errno.EEXIST and place.is_file()):
        file = next((part for part in (place, *place.parents) if part.is_file()), place)
        return f"{file} is a file, not a folder" + (f", but is needed as one for {place}" if file != place else "")
    if number in (errno.EACCES, errno.EPERM):
        return f"{place}: {_refused(place)}"
    words = _WORDS.get(number, error.strerror or "cannot be used")
    return f"{place} {words}" if words.startswith(("is ", "already ")) else f"{place}: {words}"


def _full(place: Path, number: int) -> str:
    if number == errno.EFBIG:
        return "the file would exceed this process's size limit (ulimit -f)"
    if number == errno.EDQUOT:
        return "your quota on its disk is exhausted; free some space, or name another place"
    folder = _existing(place)
    free = f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB are free)" if folder else ""
    # Temporary folders that were made by tempfile for this call.
    scratch = tuple(f"{tempfile.gettempdir()}/{prefix}" for prefix in ("graft-", tempfile.gettempprefix()))
    own = str(place.absolute()).startswith(scratch)
    other = "set TMPDIR to a folder with more space" if own else "name another place"
    return f"no space is left on its disk{free}; free some, or {other}"


def _refused(place: Path) -> str:
    found, who = _existing(place), f"this user (uid {os.geteuid()})"
    # Files are replaced by writing a new one beside them, so the folder must be writable.
    if found == place and os.access(place, os.R_OK | os.W_OK):
        found = place.parent
    what = "read or write it" if found in (None, place) else f"write to {found}"
    return f"{who} may not {what}; name another place, or change its permissions"


def _existing(place: Path) -> Path | None:
    """Return the path, or the nearest folder above it that exists; None if not even that can be determined."""
    for part in (place, *place.absolute().parents):
        try:
            if part.exists():
                return part
        except OSError:
            continue
    return None


def _mend_output() -> None:
    """Make stdout and stderr accept any output: discard it if they are closed, print ? for unencodable characters."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _stop(number: int, frame: FrameType | None) -> None:
    # Only the clean-up is left, and a second signal must not interrupt it.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    # Not with print, which the signal may have interrupted; and the terminal may be gone, or stderr closed.
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError):
            os.write(sys.__stderr__.fileno(), f"stopped by {signal.Signals(number).name}\n".encode())
    raise SystemExit(128 + number)
