import copy
import shutil

import pytest

from graft.config import study as studies
from graft.study.grid import Grid
from graft.study.sources import check_sources
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.making import making
from graft.study.steps.models import weights
from graft.study.steps.step import Making
from graft.tasks import generated
from tests.conftest import with_other_small, write_bert


@pytest.fixture
def grid(study_config) -> Grid:
    return Grid(studies.parse(study_config))


def fingerprints(config: dict) -> dict[str, str]:
    return fingerprints_of(Grid(studies.parse(config)))


def fingerprints_of(grid: Grid) -> dict[str, str]:
    return {run.id: evaluation(run).fingerprint(grid) for run in grid.runs}


def changed_runs(before: dict, change) -> set[str]:
    after = copy.deepcopy(before)
    change(after)
    old, new = fingerprints(before), fingerprints(after)
    return {run for run in old if old[run] != new[run]}


def test_systems_have_the_names_of_the_contract(grid):
    assert set(grid.systems) == {
        "finetune.large",
        "finetune.small",
        "majority",
        *(f"probe.{p}.{m}" for p in ("cls", "mean", "layers") for m in ("large", "small")),
        "merge.logit_ensemble.small-into-large",
        "merge.interpolate.small-into-large",
        "merge.spacewise.labelled.small-into-large",
        "control.shuffled.spacewise.labelled.small-into-large",
        "control.shuffled.spacewise.labelled.same-strength.small-into-large",
        *(
            f"{kind}.{head}.small-into-large"
            for kind in ("merge.theseus", "control.head-only")
            for head in ("transplant", "label-free", "labelled")
        ),
    }


def with_grid(config: dict) -> dict:
    config["models"]["small"]["finetune"]["rte"]["grid"] = {"learning_rate": [1e-4, 1e-3], "epochs": [1, 2], "seeds": 2}
    return config


def test_a_grid_of_hyperparameters_is_tried_by_seeds_of_its_own(study_config):
    grid = Grid(studies.parse(with_grid(study_config)))
    trials = grid.trials("rte", "small")
    assert len(trials) == 8 and trials[0] == ("trial.small.rate-0.0001.epochs-1", studies.TRIAL_SEEDS)
    assert grid.trials("sst2", "small") == grid.trials("rte", "large") == []
    assert not any(run.system.name.startswith("trial") for run in grid.runs)
    tuned = FinetuneModel("rte", "finetune.small", 0).inputs(grid)
    assert [step.wildcards[1:] for step in tuned if step.rule == "finetune_model"] == trials
    (trial, seed), *_ = trials
    assert not [s for s in FinetuneModel("rte", trial, seed).inputs(grid) if s.rule == "finetune_model"]


def test_another_value_to_try_makes_no_trial_anew(study_config):
    first, second = with_grid(copy.deepcopy(study_config)), with_grid(study_config)
    second["models"]["small"]["finetune"]["rte"]["grid"]["learning_rate"].append(1e-2)
    old, new = (Grid(studies.parse(config)) for config in (first, second))
    trials = [FinetuneModel("rte", *trial) for trial in old.trials("rte", "small")]
    small, large = (FinetuneModel("rte", f"finetune.{name}", 0) for name in ("small", "large"))
    assert all(step.fingerprint(old) == step.fingerprint(new) for step in (*trials, large))
    assert small.fingerprint(old) != small.fingerprint(new)


def test_a_value_is_tried_once(study_config):
    config = with_grid(study_config)
    config["models"]["small"]["finetune"]["rte"]["grid"]["learning_rate"] = [1e-4, 0.0001]
    with pytest.raises(ValueError, match="grid.learning_rate: .* has a value twice"):
        studies.parse(config)


def test_a_study_may_not_have_seeds_of_trials(study_config):
    with pytest.raises(ValueError, match="seeds: 1000000 and above are reserved for trials"):
        studies.parse({**study_config, "seeds": [0, studies.TRIAL_SEEDS]})


def test_processes_and_strategy_change_finetunings_alone_and_checkpoints_nothing(study_config):
    runs = changed_runs(study_config, lambda config: config.setdefault("launch", {}).update(gpus=2))
    assert "rte/finetune.large/seed-1" in runs and "rte/probe.cls.large/seed-all" not in runs
    quiet = {"checkpoint_minutes": 1, "trackers": ["wandb"], "gpus": 1, "strategy": "ddp"}
    assert not changed_runs(study_config, lambda config: config.setdefault("launch", {}).update(quiet))


def test_deterministic_systems_run_once_for_all_seeds(grid):
    seeds = {run.system.name: run.seed for run in grid.runs}
    assert seeds["majority"] == seeds["probe.cls.large"] == "all"
    assert seeds["control.head-only.labelled.small-into-large"] == "all"
    assert seeds["control.head-only.transplant.small-into-large"] == 1


def test_one_methods_grid_changes_that_method_alone(study_config):
    def change(config):
        config["systems"]["merge"]["theseus"]["strengths"] = [0, 5]

    runs = changed_runs(study_config, change)
    assert runs and all("/merge.theseus." in run for run in runs)


def test_a_control_with_another_change_is_another_system_and_made_anew_with_its_merge(study_config, grid):
    pair = "small-into-large"
    merged, control = f"merge.spacewise.labelled.{pair}", f"control.shuffled.spacewise.labelled.{pair}"
    same = f"control.shuffled.spacewise.labelled.same-strength.{pair}"
    assert grid.systems[control].kind == "control" and grid.systems[merged].kind == "weights"
    assert making(grid, "rte", merged, 1).fingerprint(grid) != making(grid, "rte", control, 1).fingerprint(grid)

    def change(config):
        config["systems"]["merge"]["spacewise"]["map_ridge"] = 0.3

    assert {run.split("/")[1] for run in changed_runs(study_config, change)} == {merged, control, same}
    # It takes its merge's strength, and nothing else of it.
    step = making(grid, "rte", same, 1)
    assert making(grid, "rte", merged, 1) in step.inputs(grid) and making(grid, "rte", merged, 1) not in step.loads(
        grid
    )
    assert making(grid, "rte", control, 1) not in step.inputs(grid)


RIVALS = ("lora", "distil", "weak-to-strong", "budget", "ensemble")


@pytest.fixture
def rivals(study_config):
    """A study with all that merges are compared with, and warm starts."""
    study_config["seeds"] = [4, 1, 7]
    study_config["systems"] |= {name: {} for name in RIVALS}
    study_config["systems"]["warm-start"] = {"merge": "spacewise", "steps": [5, 10]}
    return study_config


def test_rivals_are_fine_tunings_and_each_seed_is_in_one_ensemble(rivals):
    grid = Grid(studies.parse(rivals))
    names = ("lora.large", "distil.small-from-large", "weak-to-strong.small-to-large", "budget.new.1-8.large")
    assert {(grid.systems[name].kind, grid.systems[name].model) for name in names} == {
        ("finetune", "large"),
        ("finetune", "small"),
    }
    assert [run.seed for run in grid.runs if run.id.startswith("rte/lora.")] == [4, 1, 7]
    assert [run.seed for run in grid.runs if run.id.startswith("rte/ensemble.")] == [4]
    built = {name: grid.built_on("rte", grid.systems[name], 4) for name in (*names, "ensemble.large")}
    assert built["lora.large"] == []
    assert built["distil.small-from-large"] == [("finetune.large", 4)]
    assert built["weak-to-strong.small-to-large"] == [("finetune.small", 4)]
    assert built["ensemble.large"] == [("finetune.large", 4), ("finetune.large", 1)]
    assert built["budget.new.1-8.large"] == []


def test_a_task_may_have_fewer_seeds_than_the_study(rivals):
    rivals["systems"]["multitask"] = {"methods": {"ties": {}}}
    whole = Grid(studies.parse(rivals))
    rivals["tasks"]["rte"]["seeds"] = 2
    grid = Grid(studies.parse(rivals))

    def seeds(task, system):
        return [run.seed for run in grid.runs if run.task == task and run.system.name == system]

    assert (seeds("rte", "finetune.large"), seeds("sst2", "finetune.large")) == ([4, 1], [4, 1, 7])
    assert seeds("rte", "majority") == ["all"] and seeds("rte", "ensemble.large") == [4]
    # Made of all tasks' fine-tuned models with its seed.
    assert seeds("rte", "multitask.ties.large") == seeds("sst2", "multitask.ties.large") == [4, 1]
    steps = graph.of_study(grid)
    assert ("rte", "finetune.large", 7) not in {step.wildcards for step in steps if step.rule == "finetune_model"}
    for run in grid.runs:
        assert evaluation(run).fingerprint(grid) == evaluation(run).fingerprint(whole)
    rivals["tasks"]["rte"]["seeds"] = 1
    lacking = [run.id for run in Grid(studies.parse(rivals)).runs if run.system.program == "ensemble"]
    assert lacking == [f"{task}/ensemble.large/seed-4" for task in rivals["tasks"] if task != "rte"]


def test_warm_starts_begin_at_the_systems_that_they_are_named_for(rivals):
    grid, way = Grid(studies.parse(rivals)), "spacewise.labelled.small-into-large"
    starts = {
        "random-head": [],
        "closed-form-head": [("control.head-only.labelled.small-into-large", "all")],
        "merged": [(f"merge.{way}", 7)],
        "shuffled": [(f"control.shuffled.{way}", 7)],
    }
    for arm, start in starts.items():
        for count in (5, 10):
            system = grid.systems[f"warm-start.{arm}.{count}.{way}"]
            assert system.steps == count and grid.built_on("rte", system, 7) == start


def test_each_budget_point_chooses_its_rate_by_trials_of_its_own_and_all_of_a_model_are_one_job(rivals):
    rivals["systems"]["budget"] = {"fractions": ["1/64", "1/3"], "rates": [1, 2.5], "seeds": 2}
    grid, name = Grid(studies.parse(rivals)), "budget.closed-form.1-3.large"
    points = [f"budget.{start}.{part}.large" for start in ("new", "closed-form") for part in ("1-64", "1-3")]
    assert [system for system in grid.systems if system.startswith("budget.")] == points
    trials = [(f"trial.{name}.rate-{rate}", studies.TRIAL_SEEDS + seed) for rate in ("1", "2.5") for seed in range(2)]
    assert grid.rate_trials(grid.systems[name]) == trials
    assert not any(run.system.name.startswith("trial.") for run in grid.runs)
    step, head = making(grid, "rte", name, 7), making(grid, "rte", "control.head-only.labelled.small-into-large", "all")
    tried = [making(grid, "rte", *trial) for trial in trials]
    assert set(step.inputs(grid)) >= {head, *tried} and all(head in trial.inputs(grid) for trial in tried)
    assert all(one.depends_on(grid).startswith("systems.budget, models.large.finetune.rte") for one in (step, *tried))
    assert step.loads(grid) == [head] and not making(grid, "rte", points[0], 7).loads(grid)
    assert {str(making(grid, "rte", point, 7).job(grid)) for point in points} == {"budget_model rte large 7"}
    assert {str(trial.job(grid)) for trial in tried} == {
        f"budget_model rte large {studies.TRIAL_SEEDS + seed}" for seed in range(2)
    }
    rivals["systems"]["budget"] = {"fractions": ["1/3"], "rates": [2.5]}
    single = Grid(studies.parse(rivals))
    assert not single.rate_trials(single.systems[name])


def test_a_budget_point_more_re_runs_nothing_else(rivals):
    rivals["systems"]["budget"] = {"fractions": ["1/4"], "starts": ["new"], "rates": [1, 2]}
    grid = Grid(studies.parse(rivals))
    before = {step: step.fingerprint(grid) for step in graph.of_study(grid) if isinstance(step, Making)}
    for change in ({"fractions": ["1/8", "1/4"]}, {"starts": ["new", "closed-form"]}, {"models": ["small", "large"]}):
        rivals["systems"]["budget"] |= change
        more = Grid(studies.parse(rivals))
        after = {step: step.fingerprint(more) for step in graph.of_study(more) if isinstance(step, Making)}
        assert after.items() > before.items()
        added = [step for step in after if step not in before]
        assert len({after[step] for step in added}) == len(added)
        assert all("budget." in step.system for step in added)
        before = after
    # Of a small model there is no head in closed form.
    assert "budget.new.1-8.small" in more.systems and "budget.closed-form.1-8.small" not in more.systems
    # Another rate is another choice, but its trials are all that is tried anew.
    rivals["systems"]["budget"]["rates"] = [1, 2, 4]
    more = Grid(studies.parse(rivals))
    same = {step for step in before if step.fingerprint(more) == before[step]}
    assert {step.system.split(".")[0] for step in before.keys() - same} == {"budget"}


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("lora/rank", 4, {"lora"}),
        ("weak-to-strong/rows", 9, {"weak-to-strong"}),
        ("budget/seeds", 3, {"budget"}),
        ("ensemble/members", 3, {"ensemble"}),
        ("warm-start/rates", [2.0], {"warm-start"}),
        ("warm-start/steps", [5], set()),
        ("merge/interpolate/trials", 7, {"merge"}),
        ("merge/spacewise/map_ridge", 0.7, {"merge", "control", "warm-start"}),
    ],
)
def test_what_a_setting_of_a_rival_changes(rivals, path, value, changed):
    before = fingerprints(rivals)
    node = rivals["systems"]
    *parents, last = path.split("/")
    for key in parents:
        node = node[key]
    node[last] = value
    after = fingerprints(rivals)
    found = {run.split("/")[1].split(".")[0] for run in before.keys() & after.keys() if before[run] != after[run]}
    assert found == changed


@pytest.fixture
def one_shape(study_config):
    """A study with soups and encoders of all tasks."""
    study_config["systems"]["soup"] = {"members": 3, "methods": {"uniform": {}, "greedy": {}, "slerp": {"members": 2}}}
    ties = {"method": "ties", "strengths": [0.5, 1.0]}
    study_config["systems"]["multitask"] = {"models": ["large", "small"], "methods": {"mine": ties, "fisher": {}}}
    return study_config


def test_soups_are_of_members_of_their_own_and_encoders_of_the_references_runs(one_shape):
    grid = Grid(studies.parse(one_shape))
    runs = {run.id for run in grid.runs if run.task == "rte" and run.system.kind in ("soup", "multitask")}
    soups = {f"rte/soup.{name}.large/seed-all" for name in ("uniform", "greedy", "slerp")}
    named = {f"multitask.{name}.{model}" for name in ("mine", "fisher") for model in ("large", "small")}
    assert runs == soups | {f"rte/{name}/seed-{seed}" for name in named for seed in (0, 1)}
    members = [("rte", "member.large", studies.MEMBER_SEEDS + i) for i in range(3)]
    assert grid.merged("rte", grid.systems["soup.greedy.large"], "all") == members
    assert grid.merged("rte", grid.systems["soup.slerp.large"], "all") == members[:2]
    encoder = grid.systems["multitask.fisher.small"]
    assert grid.merged("", encoder, 1) == [(task, "finetune.small", 1) for task in one_shape["tasks"]]
    assert not any(run.system.name.startswith("member.") for run in grid.runs)
    tuned = {step.wildcards for step in graph.of_study(grid) if step.rule == "finetune_model"}
    assert set(members) < tuned and len({making(grid, *member).fingerprint(grid) for member in members}) == 3
    known = {step.wildcards for step in graph.of_study(grid) if step.rule == "model_statistics"}
    assert {(*one, "fisher") for one in grid.merged("", encoder, 1)} < known and len(known) == 3 * 2 * 2


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("systems/soup/members", 4, {"soup.uniform", "soup.greedy"}),
        ("systems/multitask/methods/mine/strengths", [1.0], {"multitask.mine"}),
        ("systems/multitask/methods/fisher/floor", 1e-3, {"multitask.fisher"}),
        ("calibration/examples", 8, {"multitask.fisher"}),
        ("tasks/stsb/limits/train", 100, {"multitask.mine", "multitask.fisher"}),
    ],
)
def test_what_a_setting_of_soups_and_encoders_changes_on_a_task(one_shape, path, value, changed):
    def change(config):
        node = config
        *parents, last = path.split("/")
        for key in parents:
            node = node[key]
        node[last] = value

    old, new = Grid(studies.parse(copy.deepcopy(one_shape))), copy.deepcopy(one_shape)
    change(new)
    runs = {run for run in changed_runs(one_shape, change) if run.startswith("rte/")}
    assert {run.split("/")[1].rpartition(".")[0] for run in runs} == changed
    # More members make none anew.
    member = ("rte", "member.large", studies.MEMBER_SEEDS)
    assert FinetuneModel(*member).fingerprint(old) == FinetuneModel(*member).fingerprint(Grid(studies.parse(new)))


def test_systems_that_read_the_same_bodies_share_a_sweep_and_one_alone_runs_its_own(grid):
    assert {name for name in grid.merges if grid.has_sweep(name)} == {"theseus", "shuffled.spacewise"}
    swept = {step.wildcards[1] for step in graph.of_study(grid) if step.rule == "sweep"}
    assert swept == {"theseus", "shuffled.spacewise"}


def test_a_head_alone_is_fitted_as_each_merge_fits_its_own(study_config):
    study_config["systems"]["merge"]["spacewise"] |= {"fit_rows": 32, "ridge": [1e-5, 10]}
    found = {n: s for n, s in Grid(studies.parse(study_config)).systems.items() if n.startswith("control.head-only.")}
    names = {name.removeprefix("control.head-only.").removesuffix(".small-into-large") for name in found}
    alike = "labelled.rows-32.ridge-1e-05-10"
    assert names == {"transplant", "label-free", "labelled", alike}
    settings = found[f"control.head-only.{alike}.small-into-large"].settings
    assert (settings.fit_rows, settings.ridge) == (32, (1e-5, 10))


def test_a_wrong_task_is_the_next_one_with_the_seeds_that_both_have(study_config, grid):
    study_config["systems"]["control"]["wrong-task"] = {"of": ["theseus"]}
    study_config["tasks"]["stsb"]["seeds"] = 1
    wrong, name = Grid(studies.parse(study_config)), "control.wrong-task.theseus.labelled.small-into-large"
    runs = {(run.task, run.seed) for run in wrong.runs if run.system.name == name}
    assert runs == {("sst2", 0), ("stsb", 0), ("rte", 0), ("rte", 1)}
    for task, other in (("sst2", "stsb"), ("stsb", "rte"), ("rte", "sst2")):
        steps = graph.with_inputs(wrong, [making(wrong, task, name, 0)])
        tuned = {str(step) for step in steps if step.rule == "finetune_model"}
        assert tuned == {f"finetune_model {other} finetune.small 0"}
        assert {step.task for step in steps if step.rule in ("calibrate", "embed_task")} == {task}
    assert (
        fingerprints(study_config).items()
        >= {run: known for run, known in fingerprints_of(grid).items() if not run.startswith("stsb")}.items()
    )


def test_an_oracle_merges_the_fine_tuned_large_model_into_itself_and_is_no_merge_of_the_study(study_config, grid):
    study_config["systems"]["oracle"] = {"of": ["theseus"]}
    found = Grid(studies.parse(study_config))
    system = found.systems["oracle.theseus.labelled.large"]
    assert system.kind == "oracle" and system.own_pair.name == "large-into-large" and found.ending == grid.ending
    steps = graph.with_inputs(found, [making(found, "rte", system.name, 1)])
    assert "finetune_model rte finetune.large 1" in map(str, steps)
    assert not any(step.rule == "finetune_model" and "small" in str(step) for step in steps)
    assert fingerprints(study_config).items() >= fingerprints_of(grid).items()


def test_a_control_has_no_strength_of_a_merge_that_lacks_its_head(study_config):
    study_config["systems"]["control"]["shuffled"] |= {"heads": ["labelled", "transplant"], "strength": ["merge"]}
    found = {name for name in Grid(studies.parse(study_config)).systems if name.startswith("control.shuffled.")}
    assert found == {"control.shuffled.spacewise.labelled.same-strength.small-into-large"}


def test_a_composite_of_pre_trained_models_has_no_seeds_and_depends_on_both(study_config, pico_models, tmp_path):
    study_config["systems"]["merge"]["concat"] = {"method": "concat_probe", "small": "pretrained"}
    name = "merge.concat.small-into-large"
    runs = {run.id for run in Grid(studies.parse(study_config)).runs if run.system.name == name}
    assert runs == {f"{task}/{name}/seed-all" for task in study_config["tasks"]}

    def other_small(config):
        config["models"]["small"]["source"]["folder"] = str(write_bert(tmp_path / "small", 2, 12, 2, seed=9))

    assert f"rte/{name}/seed-all" in changed_runs(study_config, other_small)
    tuned_otherwise = changed_runs(
        study_config, lambda config: config["models"]["small"]["finetune"]["rte"].update(learning_rate=1e-4)
    )
    assert f"rte/{name}/seed-all" not in tuned_otherwise


def test_a_merge_named_as_a_control_is_refused(study_config):
    study_config["systems"]["merge"]["shuffled.spacewise"] = {"method": "theseus"}
    with pytest.raises(ValueError, match="the control of spacewise has this name; take another"):
        Grid(studies.parse(study_config))


def test_names_margins_and_patterns_change_nothing(study_config):
    def change(config):
        config["name"] = "other"
        config["statistics"] = {"margins": {"sst2": 0.5}}
        config["exclude"] = ["*/merge.interpolate.*"]

    before = fingerprints(study_config)
    after = copy.deepcopy(study_config)
    change(after)
    assert all(before[run] == value for run, value in fingerprints(after).items())


def test_small_hyperparameters_leave_the_large_model_alone(study_config):
    def change(config):
        config["models"]["small"]["finetune"]["rte"] = {
            **config["models"]["small"]["finetune"]["rte"],
            "learning_rate": 1e-4,
        }

    runs = changed_runs(study_config, change)
    assert "rte/finetune.small/seed-0" in runs
    assert "rte/merge.theseus.labelled.small-into-large/seed-1" in runs
    assert not any(run.startswith(("sst2/", "stsb/")) or "finetune.large" in run or "probe" in run for run in runs)


def test_threads_are_part_of_what_was_trained(study_config):
    runs = changed_runs(study_config, lambda config: config.update(launch={"threads": 2}))
    assert "sst2/finetune.large/seed-0" in runs


def test_data_enters_by_content_not_by_place(study_config, tmp_path):

    copied = shutil.copytree(study_config["tasks"]["rte"]["source"]["folder"], tmp_path / "RTE")

    def move(config):
        config["tasks"]["rte"]["source"]["folder"] = str(copied)

    assert not changed_runs(study_config, move)
    with (copied / "train.tsv").open("a") as handle:
        handle.write("999\ta dog\ta cat\tentailment\n")
    assert {run.split("/")[0] for run in changed_runs(study_config, move)} == {"rte"}


def test_a_generated_task_is_known_by_its_options_and_its_grammars_version(study_config, monkeypatch):
    source = {"kind": "generated", "grammar": "entailment", "train": 100, "dev": 50}
    study_config["tasks"]["rte"]["source"] = source
    for key, value in (("seed", 1), ("train", 99), ("dev", 51)):
        runs = changed_runs(study_config, lambda c, k=key, v=value: c["tasks"]["rte"]["source"].update({k: v}))
        assert {run.split("/")[0] for run in runs} == {"rte"}, key
    before = fingerprints(study_config)
    monkeypatch.setattr(generated, "VERSION", generated.VERSION + 1)
    after = fingerprints(study_config)
    assert {run.split("/")[0] for run in before if before[run] != after[run]} == {"rte"}


def test_exclude_drops_runs_and_an_empty_grid_is_refused(study_config):
    kept = Grid(studies.parse({**study_config, "exclude": ["rte/*"]}))
    assert {run.task for run in kept.runs} == {"sst2", "stsb"}
    with pytest.raises(ValueError, match="leave no run"):
        Grid(studies.parse({**study_config, "exclude": ["*/*"]}))


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "include",
            ["rte/*", "cola/*"],
            "include: no run matches 'cola/*'; patterns match <task>/<system>/seed-<n>; ",
        ),
        ("exclude", ["*/merge.grow.*"], "exclude: no run matches '*/merge.grow.*'; patterns match <task>/"),
        (
            "statistics",
            {"primary_family": ["merge.*", "soup.*"]},
            "statistics.primary_family: no system matches 'soup.*'; similar: ",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_told_with_what_there_is(study_config, section, values, message):
    with pytest.raises(ValueError) as error:
        Grid(studies.parse({**study_config, section: values}))
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_usual_family_may_be_empty(study_config):
    study_config["systems"] = {"majority": {}}
    assert Grid(studies.parse({**study_config, "statistics": {"primary_family": ["merge.*"]}})).runs


def test_short_names_of_systems_choose_runs_as_whole_names_do(study_config):
    def left(*patterns):
        return [run.id for run in Grid(studies.parse({**study_config, "exclude": list(patterns)})).runs]

    short = left("*/merge.theseus.labelled/*")
    assert short == left("*/merge.theseus.labelled.small-into-large/*") and short != left()


def test_a_short_name_means_the_system_that_the_tables_show_so(study_config):
    grid = Grid(studies.parse(study_config))
    for name in grid.systems:
        assert grid.named(name) == grid.named(name.removesuffix(".small-into-large")) == name
    # One head only.
    assert grid.named("merge.spacewise") == "merge.spacewise.labelled.small-into-large"
    with pytest.raises(
        ValueError, match="no system 'merge.theseus', which may mean merge.theseus.transplant.small-int"
    ):
        grid.named("merge.theseus")
    with pytest.raises(ValueError, match="no system 'merge.grow'; similar: "):
        grid.named("merge.grow")


def test_another_small_model_is_fine_tuned_and_merged_as_a_control(study_config):
    before = Grid(studies.parse(study_config)).systems
    grid = Grid(studies.parse(with_other_small(study_config)))
    new = {name: system for name, system in grid.systems.items() if name not in before}
    assert set(new) == {
        f"{start}{model}{end}"
        for model in ("untrained", "undistilled")
        for start, end in (("finetune.", ""), ("control.other-small.spacewise.labelled.", "-into-large"))
    }
    assert {system.kind for system in new.values()} == {"control"}
    assert {name: system.kind for name, system in before.items()}.items() <= {
        name: system.kind for name, system in grid.systems.items()
    }.items()
    merged = new["control.other-small.spacewise.labelled.untrained-into-large"]
    assert grid.pair("untrained-into-large") == merged.pair
    own = grid.systems["merge.spacewise.labelled.small-into-large"]
    assert (merged.method, merged.settings, merged.label_use) == (own.method, own.settings, own.label_use)


def test_the_heads_of_another_small_model_are_the_merges_own_where_they_are_left_out(study_config):
    del with_other_small(study_config, merge="theseus")["systems"]["control"]["other-small"]["heads"]
    names = Grid(studies.parse(study_config)).systems
    assert sum(name.startswith("control.other-small.theseus.") for name in names) == 2 * 3


def test_a_model_like_another_that_no_control_names_is_not_run(study_config):
    before = Grid(studies.parse(study_config)).systems
    del with_other_small(study_config)["systems"]["control"]["other-small"]
    assert list(Grid(studies.parse(study_config)).systems) == list(before)


def test_two_pairs_have_the_other_small_model_once_for_each_large_one(study_config):
    with_other_small(study_config)
    study_config["models"] |= {"huge": study_config["models"]["large"], "tiny": study_config["models"]["small"]}
    study_config["pairs"] += [{"large": "large", "small": "tiny"}, {"large": "huge", "small": "small"}]
    study_config["models"]["huge"] |= {"tokenizer": "large"}
    names = [name for name in Grid(studies.parse(study_config)).systems if "untrained" in name]
    assert names == [
        "finetune.untrained",
        *(f"control.other-small.spacewise.labelled.untrained-into-{large}" for large in ("large", "huge")),
    ]


def test_what_control_models_depend_on(study_config):
    with_other_small(study_config)
    merged = "control.other-small.spacewise.labelled"

    def systems(change):
        return {run.split("/")[1] for run in changed_runs(study_config, change)}

    def of(model):
        return {f"finetune.{model}", f"{merged}.{model}-into-large"}

    assert systems(lambda c: c["models"]["untrained"]["source"].update(seed=1)) == of("untrained")
    assert systems(lambda c: c["models"]["undistilled"]["source"].update(seed=1)) == of("undistilled")
    assert systems(lambda c: c["models"]["undistilled"]["source"]["options"].update(masked=0.2)) == of("undistilled")
    spacewise = systems(lambda c: c["systems"]["merge"]["spacewise"].update(map_ridge=0.3))
    assert {f"{merged}.{model}-into-large" for model in ("untrained", "undistilled")} < spacewise
    # The text of any task is read by the one that is trained on it, and not by the one that is not trained.
    rows = changed_runs(study_config, lambda c: c["tasks"]["sst2"]["limits"].update(train=150))
    assert "rte/finetune.undistilled/seed-0" in rows and "rte/finetune.untrained/seed-0" not in rows


def test_fingerprints_of_models_that_were_made_stay():
    """They change only with what they stand for: a model with another is made anew, and all that is made of it."""
    hub = {"kind": "hub", "repo": "a/b", "revision": "0" * 40}
    settings = {"rte": {"learning_rate": 1e-4, "batch_size": 8, "epochs": 1, "max_tokens": 16}}
    shape = {"layers": 2, "width": 12, "heads": 2, "ffn": 24}
    distilled = {"kind": "distilled", "teacher": "big", "shape": shape}
    values = {
        "name": "s",
        "seeds": 1,
        "tasks": {"rte": {"source": hub}},
        "models": {
            "big": {"role": "large", "source": hub, "finetune": settings},
            "tiny": {"role": "small", "source": distilled, "finetune": settings},
        },
        "pairs": [{"large": "big", "small": "tiny"}],
    }
    grid = Grid(studies.parse(values))
    found = [weights(grid, "big"), weights(grid, "tiny"), FinetuneModel("rte", "finetune.tiny", 0)]
    fingerprints = ["efbe33ac7006130c", "510b992d3707eff7", "1bab8f6be15760ea"]
    assert [step.fingerprint(grid) for step in found] == fingerprints


def test_a_calibration_text_of_ones_own_counts_by_its_content(study_config, tmp_path):
    text = tmp_path / "text.txt"
    study_config["calibration"]["text"] = str(text)
    with pytest.raises(ValueError, match="calibration.text: .* is missing; a file with one text per line is needed"):
        check_sources(Grid(studies.parse(study_config)))
    text.write_text("good film\n")
    before = fingerprints(study_config)
    text.write_text("bad film\n")
    changed = {run.split("/")[1] for run, found in fingerprints(study_config).items() if found != before[run]}
    assert changed and all("theseus" in system or "spacewise" in system for system in changed)


def test_a_merge_by_evidence_of_weights_needs_no_calibration(study_config):
    study_config["systems"]["merge"]["theseus"]["evidence"] = "weights"
    grid = Grid(studies.parse(study_config))
    assert grid.merges["theseus"].depth is None and grid.merges["spacewise"].depth == "spread"
