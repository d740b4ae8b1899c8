"""Run a study: call Snakemake in this folder, with the Snakefile and profiles that come with Graft."""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from graft.io.workflow import ROOT


def run(config: str, profile: str, arguments: Sequence[str] = ()) -> NoReturn:
    """Become Snakemake; `config` and `profile` are paths, or names of what comes with Graft.

    Raises ValueError if either is not there, or Snakemake is not installed.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise ValueError("studies run by Snakemake, which is not installed; pip install 'graft[workflow]'")
    given = ["--profile", str(profile_folder(profile)), "--configfile", str(config_file(config))]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *given, *arguments]
    os.execv(command[0], command)


def config_file(config: str) -> Path:
    """The config at a path, or that of a study by name: in config/ here, where `new` writes it, or Graft's own."""
    places = Path(config), *(folder / "config" / f"{config}.yaml" for folder in (Path(), ROOT))
    return _first(places, Path.is_file, f"{config} is not a study's YAML")


def profile_folder(profile: str) -> Path:
    """The profile at a path, or by name: in profiles/ here, or Graft's own."""
    places = Path(profile), *(folder / "profiles" / profile for folder in (Path(), ROOT))
    return _first(places, lambda path: any(path.glob("config*.yaml")), f"--profile {profile} is not a profile's folder")


def _first(places: Sequence[Path], fits: Callable[[Path], bool], refusal: str) -> Path:
    if found := next((path for path in places if fits(path)), None):
        return found
    raise ValueError(f"{refusal}, nor the name of one in {' or '.join(f'{path.parent}/' for path in places[1:])}")
