import inspect
from pathlib import Path

from graft.study.paths import Paths
from graft.study.steps.graph import STEPS


def test_no_two_things_lie_in_one_place_or_inside_of_one_another_but_logs_and_files_of_a_run():
    paths = Paths.of("pico")
    found = []
    for name, member in vars(Paths).items():
        if isinstance(member, property):
            found.append(getattr(paths, name))
        elif inspect.isfunction(member) and not name.startswith("_"):
            arguments = list(inspect.signature(member).parameters)[1:]
            found.append(getattr(paths, name)(*(f"{{{argument}}}" for argument in arguments)))
    found += {step.pattern().output(paths).parent for step in STEPS.values() if step.temporary}
    assert len(found) > 15 and len(set(found)) == len(found)
    assert all(path.is_relative_to("results/pico") for path in found)
    assert not [(one, other) for one in found for other in found if one != other and one.is_relative_to(other)]


def test_where_users_find_a_run():
    assert Paths.of("glue").run("rte", "finetune.large", 3) == Path("results/glue/runs/rte/finetune.large/seed-3")
    assert Paths.of("glue").run("rte", "soup", "all") == Path("results/glue/runs/rte/soup/seed-all")
    assert (Paths.of("glue").tables, Paths.of("glue").report) == (
        Path("results/glue/tables"),
        Path("results/glue/report.html"),
    )
