import functools
import gc
import re
import shlex

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.path_modifier import PathModifier
from snakemake.settings.enums import Quietness
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import update_config

from graft.config import study as studies
from graft.io import files, locks
from graft.registry.depth import DEPTHS
from graft.reporting import captions, live
from graft.study import cluster, deployment, groups, launcher, preload
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sources import check_sources
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import evaluation
from graft.study.steps import graph
from graft.study.steps.graph import STEPS
from graft.study.steps.job import PLACES, Job, wildcard_names
from graft.study.steps.making import making
from graft.study.steps.models import BY_SOURCE, weights
from graft.study.steps.tables import last

# Snakemake creates millions of small long-lived objects; collecting garbage more often took an eighth of a dry run.
gc.set_threshold(50_000)


def given_config():
    """The config as Graft reads its files (Snakemake reads some words as other numbers), then what --config says; of a
    module, what the module statement gives."""
    values = {}
    if MODULE:
        update_config(values, config)
        return values
    for path in workflow.configfiles:
        update_config(values, studies.read_values(path))
    update_config(values, workflow.config_settings.config)
    return values


def checked_grid():
    """The study that the config describes, or one line per problem."""
    if MODULE and not config:
        raise WorkflowError("a module of Graft needs the config of a study, as in `config: config['graft']`")
    try:
        grid = Grid(studies.parse(given_config()))
        # Jobs parse the config again but skip the rows: each step checks the files that it reads.
        check_sources(grid, rows=workflow.is_main_process)
        for run in (*grid.runs, *grid.transfer_runs):
            evaluation(run).fingerprint(grid)
        return grid
    except ValueError as error:
        raise WorkflowError(str(error)) from None


GRID = checked_grid()
STUDY = GRID.study


def placed():
    """The study's paths, below the prefix of a module: programs write there, so Snakemake may not add it once more."""
    usual = Paths.of(STUDY.name).root
    root = workflow.modifier.path_modifier.replace_prefix(str(usual))
    if not root.endswith(str(usual)) or shlex.quote(root) != root:
        raise WorkflowError(
            f"a module of Graft cannot write its results to {root}: give it a `prefix` of letters, digits and . _ - /, "
            "and no `replace_prefix`"
        )
    workflow.modifier.path_modifier = PathModifier(None, None, workflow)
    return Paths(Path(root))


PATHS = placed()
if workflow.is_main_process:
    graph.forget_incomplete(GRID, PATHS)


def made_by(rule):
    """Names of the models that a rule makes or brings here."""
    return [name for name, model in STUDY.models.items() if BY_SOURCE[model.source.kind].rule == rule]


def either(names):
    """A pattern that matches these names and nothing else."""
    return "|".join(map(re.escape, names)) or "-"


def made_with(program):
    """A pattern that matches the names of the systems that a program makes."""
    return either(system.name for system in GRID.systems.values() if system.program == program)


PUBLISHED = made_by("download_model")
# Data sets to read and evaluate on; a transfer evaluates the systems of its task.
DATA_SETS = either((*STUDY.tasks, *GRID.transfers))

# Folder of the jobs' conda environments; None if all jobs run in this Python.
ENVIRONMENTS = None
if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    ENVIRONMENTS = Path(os.path.abspath(workflow.deployment_settings.conda_prefix or ".snakemake/conda"))
CONTAINED = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method and bool(IMAGE or not MODULE)


def refuse_impossible_containers():
    if ENVIRONMENTS:
        raise WorkflowError("jobs run in containers or in conda environments, not both: leave out one of them")
    if not IMAGE:
        raise WorkflowError(
            "jobs run in containers if GRAFT_IMAGE in the environment, or `image` in profiles/slurm, names an image "
            "(docs/cluster.md)"
        )
    if "://" not in IMAGE and not Path(IMAGE).exists():
        raise WorkflowError(f"{IMAGE}: no such image (GRAFT_IMAGE, or `image` in profiles/slurm)")


if CONTAINED:
    refuse_impossible_containers()
# Elsewhere than in this Python, all that it has beside Graft must stay out of sight.
LIBRARY = importable(Path(".snakemake/graft")) if ENVIRONMENTS or CONTAINED else ROOT
if CONTAINED:
    deployment.bind(packages())
BEFORE = deployment.prefix(LIBRARY, ENVIRONMENTS, CONTAINED, os.environ.get("GRAFT_MODULES", ""))
# Set here and not in `params`, so that moving the checkout re-runs nothing.
if MODULE:
    # The shell's prefix would be that of all rules of the workflow that uses this one.
    os.environ[deployment.BEFORE] = BEFORE.format()
else:
    shell.prefix(BEFORE)
# Snakemake builds environments between here and `onstart`, and mistakes one that another snakemake is still building
# for a broken one.
BUILDING = None
if ENVIRONMENTS and workflow.is_main_process and not workflow.output_settings.dryrun:
    BUILDING = locks.take_turn(ENVIRONMENTS / ".lock", f"conda environments in {ENVIRONMENTS}")


def job_of(rule, wildcards):
    """A job of Snakemake's: one of several steps, or a step; None for a target."""
    step = STEPS.get(rule)
    return Job.of(rule, wildcards) if rule in PLACES else step and step.of(wildcards)


def expected_seconds():
    """Seconds that each job to be run should take, by its number; None as long as sizes are not known."""
    # It imports pandas, which no snakemake without a terminal needs.
    from graft.planning import estimates

    steps, to_do = {}, left() | set(last(GRID))
    for one in workflow.dag.needrun_jobs(exclude_finished=False):
        job = job_of(one.rule.name, one.wildcards_dict)
        parts = graph.jobs_of(GRID).get(job, [job] if job else [])
        steps[workflow.dag.jobid(one)] = [step for step in parts if step in to_do]
    return estimates.seconds(GRID, PATHS, steps, bool(os.environ.get(cluster.OURS)))


def one_line():
    """In a terminal, the study's line in place of what Snakemake prints; None if the user asked for that,
    or for nothing, or if this is a part of another workflow."""
    output = workflow.output_settings
    usual = next((one for one in logger.handlers if one.name == "DefaultStreamHandler"), None)
    asked = output.dryrun or output.verbose or output.printshellcmds or Quietness.ALL in (output.quiet or ())
    if MODULE or not workflow.is_main_process or asked or not usual or not usual.stream.isatty():
        return None
    line = live.Line(STUDY.name, usual.stream, expected_seconds)
    logger.removeHandler(usual)
    logger.addHandler(line)
    return line


LINE = one_line()


wildcard_constraints:
    task=either(STUDY.tasks),
    model=either(STUDY.models),
    pair=either(pair.name for pair in GRID.pairs),
    tokenizer=either(PUBLISHED),
    seed=r"\d+|all",


def asked_of_slurm(resource):
    """What rules ask for by `resource`, where it is spelt out: default-resources are expressions."""
    said = [str(rule.resources[resource].raw) for rule in workflow.rules if resource in rule.resources]
    return {name[2] for text in said if (name := re.fullmatch(r"(['\"]?)([\w.-]+)\1", text))}


def start_study():
    """Take the study's lock for as long as this process lives, see orphans out, write the resolved config."""
    locks.end_turn(BUILDING)
    # A workflow may use rules of a module in several statements, each of which reads the module once more.
    if locks.holds(PATHS.lock):
        return
    try:
        if os.environ.get(cluster.OURS):
            partitions = asked_of_slurm("slurm_partition") | cluster.partitions_in(workflow.executor_settings)
            cluster.refuse_unknown(asked_of_slurm("slurm_account"), partitions)
        os.environ[locks.RUN] = locks.hold(PATHS.lock, f"study {STUDY.name}")
    except ValueError as error:
        raise WorkflowError(str(error)) from None
    cluster.cancel_orphans(PATHS.root, f"study {STUDY.name}")
    locks.wait_for_jobs(PATHS.jobs_lock, f"study {STUDY.name}")
    files.remove_temporary(PATHS.root)
    files.write_json(PATHS.study, STUDY.model_dump(mode="json", by_alias=True))
    if workflow.local_exec and not ENVIRONMENTS and not CONTAINED and preload.VARIABLE not in os.environ:
        preload.start()


def tables_of_what_there_is():
    """One failed run must not hide the rest: the tables are made from the runs that exist."""
    if LINE:
        LINE.close()
    folder = PATHS.root.parent.parent
    deployment.run_here(ROOT, "graft", "tables", STUDY.name, folder=folder)
    where = "" if folder == Path() else f"in {folder}: "
    print(f"{where}`{COMMAND} status {STUDY.name}` says which runs failed, and why", file=sys.stderr)


def before(event, ours):
    """Have `ours` called before what the workflow that uses this module does on an event, now or by a later statement:
    Snakemake calls no handler of a module."""

    def both(theirs):
        def handler(log):
            ours()
            theirs(log)

        return handler

    register = getattr(workflow, event)
    setattr(workflow, f"_{event}", both(getattr(workflow, f"_{event}")))
    setattr(
        workflow,
        event,
        lambda theirs: register(both(theirs) if workflow.modifier.is_main_snakefile() else theirs),
    )


# A rule's files and fingerprint are those of its step, graft/study/steps/<rule>.py, or of its job's steps.


@functools.cache
def left():
    """The steps to be done, as this snakemake found the study."""
    return graph.left(graph.of_study(GRID), GRID, PATHS)


def inputs_of(kind):
    if kind in PLACES:
        return lambda wildcards: graph.job_reads(GRID, PATHS, Job.of(kind, wildcards), left())
    return lambda wildcards: STEPS[kind].of(wildcards).reads(GRID, PATHS)


def outputs_of(kind):
    if kind in PLACES:
        return [Job.pattern(kind).marker(PATHS)]
    return STEPS[kind].pattern().outputs(GRID, PATHS)


def captioned(rule):
    """Tables as outputs that stand in Snakemake's report too, where that can show them."""
    return [_captioned(table) if table.suffix in (".csv", ".html") else table for table in outputs_of(rule)]


def _captioned(table):
    labels = {"table": table.stem, "format": table.suffix[1:]}
    return report(table, caption=f"../report/{table.stem}.rst", category="Tables", labels=labels)


def log_of(rule):
    return (Job.pattern(rule) if rule in PLACES else STEPS[rule].pattern()).log(PATHS)


def fingerprint_of(kind):
    if kind in PLACES:
        return lambda wildcards: graph.job_fingerprint(GRID, Job.of(kind, wildcards))
    return lambda wildcards: STEPS[kind].of(wildcards).fingerprint(GRID)


def program(rule, prefix="HF_HUB_OFFLINE=1 ", start="python -m", name=None):
    """Shell command that runs a step's program. Only downloads may ask the hub."""
    names = wildcard_names(rule) if rule in PLACES else STEPS[rule].wildcard_names()
    wildcards = "".join(f" --{wildcard} {{wildcards.{wildcard}}}" for wildcard in names)
    asked = f"{wildcards} --fingerprint {{params.fingerprint}}"
    return _command(f"{prefix}{start} workflow_scripts.{name or rule}", asked)


def tables_program(rule):
    """Shell command that runs a program for all runs of the study, which finds out by itself what there is."""
    return _command(f"python -m workflow_scripts.{rule}")


def _command(program, arguments=""):
    before = f'eval "${deployment.BEFORE}"; ' if MODULE else ""
    return f"{before}{program} --study {{params.study}}{arguments} > {{log}} 2>&1"


def manifests(steps):
    return [one.output(PATHS) for one in steps]


def all_made(*programs):
    runs = [run for run in GRID.runs if run.system.program in programs]
    return {making(GRID, *run.made).declared(GRID, PATHS) for run in runs}


# Threads of a job that must run alone on this machine; on a cluster it has its own node and needs no extra threads.
ALL_CORES = (workflow.local_exec and workflow.resource_settings.cores) or STUDY.launch.threads


# Command that starts a fine-tuning program.
TRAINER = launcher.start(STUDY.launch)


def asking(gpus, nodes=1):
    """Resources of a job with this many GPUs on each node, as this site asks for them (profiles/slurm)."""
    gres, partition = os.environ.get("GRAFT_GRES"), os.environ.get("GRAFT_GPU_PARTITION")
    where = {"slurm_partition": partition} if partition and gpus else {}
    if nodes > 1:
        # The rule's own srun starts one task per node, with all GPUs of that node.
        several = {"nodes": nodes, "tasks": nodes, "mpi": "srun", "tasks_per_gpu": 0}
        return {**where, **several, "gres": f"{gres or 'gpu'}:{gpus}"}
    # Without `nodes`, SLURM might gather the GPUs from several nodes.
    return {**where, "nodes": 1, **({"gres": f"{gres}:{gpus}"} if gres and gpus else {"gpu": gpus})}


# Resources of a job that computes on launch.device; `auto` on a cluster means a GPU.
GPU = asking(STUDY.launch.gpus_of_a_job)
# Resources and threads of a fine-tuning, each of whose processes has its own threads.
TRAINING = {**asking(STUDY.launch.gpus or STUDY.launch.gpus_of_a_job, STUDY.launch.nodes), "turn": 1}
TRAINING_THREADS = STUDY.launch.threads * (STUDY.launch.gpus or 1)


# `turn`: the jobs of a group run one after the other (profiles/slurm).
SMALL = {**GPU, "turn": 1}


def together(rule):
    """The group that a rule's jobs are submitted in; None where nothing is submitted."""
    if not os.environ.get(cluster.OURS):
        return None

    def group(wildcards):
        name = groups.group_of(rule, wildcards, STUDY.launch)
        # Inside the submitted job, which reads no profile, let the other steps continue if one fails.
        if workflow.remote_exec:
            workflow.execution_settings.keep_going = True
        # A common parent group lets it hold steps that share no input (Snakemake's group-components).
        workflow.parent_groupids[name] = "together"
        return name

    # With several processes no fine-tuning has a group: a function may not return None.
    return None if rule in groups.FINETUNINGS and STUDY.launch.distributed else group


# Memory and time that a job requests of a cluster. A job that runs out of either is retried with more of both.
def training_memory(wildcards, attempt):
    """MB per node; measured for BERT-base, 32 texts of 128 tokens on a CPU: 5756 (docs/cluster.md)."""
    return (2000 + 8000 * (STUDY.launch.gpus or 1)) * attempt


def inference_memory(wildcards, attempt):
    """MB of a pass over texts; measured for BERT-base: 1040, and 6 KB for each text (docs/cluster.md)."""
    return 4000 * attempt


def merging_memory(wildcards, attempt):
    """MB: encoders, and maps and moments of one pair; measured for BERT-base: 9200, when four sets of maps were held."""
    return 12000 * attempt


def minutes_of(rule):
    """What a rule's jobs are given: three times what they should take, and more at every attempt."""
    training = rule in ("finetune_model", "budget_model", "warm_start", "distil_model", "pretrain_model")
    usual = (240 if training else 60) * (1 if STUDY.launch.gpus_of_a_job else 4)

    def minutes(wildcards, attempt):
        if not os.environ.get(cluster.OURS):
            return usual * attempt
        # It imports pandas, which no other snakemake needs.
        from graft.planning import estimates

        return (estimates.minutes(GRID, PATHS, job_of(rule, wildcards)) or usual) * attempt

    return minutes
