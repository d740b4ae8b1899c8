"""Check names, suggest the known name that was meant, and shorten the names of systems. Imports no torch."""

import difflib
import fnmatch
import re
from collections.abc import Collection, Iterable

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
LONGEST = 64
# A system's name is composed of others and names a folder, for which file systems allow 255 bytes.
LONGEST_SYSTEM = 200
# Reserved: names that stand for seeds in paths, and Windows' device names.
_TAKEN = re.compile(r"all|seed-.*|(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
# Joints in the names of pairs and of transfers.
_JOINTS = ("-into-", ".from-")
# Longer lists of known names are shortened to this many.
_MOST = 8
_LONGEST_SHOWN = 80


def checked_name(value: str) -> str:
    """Return `value` if it may name a study, task, model or system; raises ValueError otherwise."""
    if not NAME.fullmatch(value):
        shown = repr(value) if len(value) <= LONGEST else f"{value[:LONGEST]!r}..."
        raise ValueError(f"{shown} is not a name: names match {NAME.pattern}")
    if len(value) > LONGEST:
        raise ValueError(f"{value[:LONGEST]!r}... is not a name: it has {len(value)} characters, {LONGEST} at most")
    if _TAKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a name: it is reserved in paths; choose another")
    if joint := next((joint for joint in _JOINTS if joint in value), None):
        raise ValueError(f"{value!r} is not a name: {joint} joins two names; choose another")
    if ".." in value or value.endswith("."):
        raise ValueError(f"{value!r} is not a name: dots must be single and between other characters")
    return value


def checked_repo(value: str) -> str:
    """Return `value` if it may name a model or data set on the hub; raises ValueError otherwise."""
    if not _REPO.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a name on the hub; write owner/name, or name alone")
    return value


def closest(given: object, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant by a wrong one, or None."""
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(given).lower(), lower, 1, 0.7)
    return lower[close[0]] if close else None


def meant(given: object, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` if a known name is close to the given one, otherwise an empty string."""
    found = closest(given, known)
    return f"; did you mean {found}?" if found else ""


def shown(given: object) -> str:
    """Format a wrong value as YAML writes it, cut to a readable length."""
    if given is None:
        return "nothing"
    text = str(given).lower() if isinstance(given, bool) else repr(given)
    return f"{text[:_LONGEST_SHOWN]}..." if len(text) > _LONGEST_SHOWN else text


def unknown(where: str, given: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not among the known ones."""
    known = list(known)
    return ValueError(f"{where}: unknown {given!r}; available: {', '.join(known) or 'none'}{meant(given, known)}")


def check_known(where: str, given: str, known: Collection[str]) -> None:
    """Raise ValueError, which begins with `where`, unless a name is among the known ones."""
    if given not in known:
        raise unknown(where, given, known)


def near(given: str, known: Iterable[str]) -> str:
    """List the known names, or only those closest to the given one if there are many."""
    known = list(dict.fromkeys(known))
    close = known if len(known) <= _MOST else difflib.get_close_matches(given, known, _MOST, 0.3) or known[:_MOST]
    return f"{'available' if len(close) == len(known) else 'similar'}: {', '.join(close) or 'none'}"


def common_pair(systems: Iterable[str]) -> str:
    """Return the suffix `.<small>-into-<large>` of a study's systems; empty unless the study has exactly one pair.

    The control other-small always uses another pair, so it does not count.
    """
    pairs = {
        name.rsplit(".", 1)[1] for name in systems if "-into-" in name and not name.startswith("control.other-small.")
    }
    return f".{pairs.pop()}" if len(pairs) == 1 else ""


def system_named(given: str, systems: Iterable[str]) -> str:
    """Return the system that a name means: in full, without the suffix of the only pair, or as an unambiguous prefix.

    Raises ValueError, which begins with "no system" and lists the known names or those that it may mean.
    """
    systems = list(dict.fromkeys(systems))
    if given in systems:
        return given
    if (whole := given + common_pair(systems)) in systems:
        return whole
    found = [name for name in systems if name.startswith(f"{given}.")]
    if len(found) > 1:
        raise ValueError(f"no system {given!r}, which may mean {near(given, found).split(': ')[1]}")
    if not found:
        raise ValueError(f"no system {given!r}; {near(given, systems)}")
    return found[0]


def matches(name: str, pattern: str, ending: str) -> bool:
    """Whether a pattern matches a system's full name, or its short name without `ending` (see `common_pair`).

    `name` and `pattern` may also describe runs, <task>/<system>/seed-<n>.
    """
    short = "/".join(part.removesuffix(ending) for part in name.split("/")) if ending else name
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(short, pattern)


def check_patterns(nothing: str, patterns: Iterable[str], names: Iterable[str], ending: str, form: str = "") -> None:
    """Raise ValueError, which begins with `nothing` and lists close names, if a pattern matches no name.

    ending: the suffix that short names of systems omit. form: the kind of name that patterns match, for the message.
    """
    names = list(dict.fromkeys(names))
    for pattern in patterns:
        if not any(matches(name, pattern, ending) for name in names):
            over = f"patterns match {form}; " if form else ""
            raise ValueError(f"{nothing} matches {pattern!r}; {over}{near(pattern, names)}")
