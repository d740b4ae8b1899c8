"""The generated reference of commands: whole, and the same on every machine."""

import re

import typer

from graft.cli.main import app
from graft.cli.references import commands
from graft.cli.references.__main__ import ROOT

COMMANDS = typer.main.get_command(app).commands


def sections():
    return dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", commands.reference(), re.DOTALL | re.MULTILINE))


def test_every_command_is_there_with_every_argument_and_what_it_is():
    found = sections()
    assert found.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        for param in command.params:
            argument = param.name.upper() if param.param_type_name == "argument" else param.opts[0]
            assert re.search(rf"^\| `{argument}( [^`]+)?` \| [^|]+ \| [^|–]+ \|$", found[name], re.MULTILINE), (
                name,
                argument,
            )


def test_defaults_values_and_switches_are_described():
    found = sections()
    assert "| `--tokens N` | `50000` |" in found["merge"] and "| `--out PATH` | needed |" in found["merge"]
    assert "| `--dry-run` | off |" in found["merge"] and "| `--strength X` | none |" in found["merge"]
    # Several values at once, and one value per flag.
    assert (
        "| `--models DIR...` | none |" in found["merge"]
        and "| `--task NAME=PATH` | none; may be repeated |" in found["new"]
    )


def test_no_path_of_this_machine_is_in_it():
    assert str(ROOT) not in commands.reference() and "| `CONFIG` | `config.yaml` |" in sections()["plan"]
