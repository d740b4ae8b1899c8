# Graft: does merging a fine-tuned small model into a pre-trained large one beat fine-tuning the large one?
from snakemake.utils import min_version

min_version("9.0")

# Another workflow may use this one as a module, with a config that it gives (config/README.md).
MODULE = not workflow.modifier.is_main_snakefile()


include: "rules/library.smk"


# The study of this folder, or the default one, is loaded alone: Snakemake would merge it into any other that is given.
if not MODULE and not workflow.overwrite_configfiles:

    configfile: next(str(path) for path in (Path("config/config.yaml"), ROOT / "config.yaml") if path.is_file())


# Of all jobs, with `--sdm apptainer` (profiles/slurm).
if IMAGE:

    container: IMAGE


report: "report/study.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/finetune.smk"
include: "rules/merge.smk"
include: "rules/combine.smk"
include: "rules/cost.smk"
include: "rules/compare.smk"
include: "rules/transfer.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        [path for step in last(GRID) for path in step.outputs(GRID, PATHS)],
        # Snakemake makes no file again that only others are made of.
        [job.marker(PATHS) for job in graph.jobs_of(GRID)],


# All that needs the network (docs/airgap.md).
rule download:
    input:
        manifests(map(DownloadTask, (*STUDY.tasks, *GRID.transfers))),
        manifests(weights(GRID, model) for model in PUBLISHED),


rule data:
    input:
        manifests(map(DownloadTask, (*STUDY.tasks, *GRID.transfers))),


rule models:
    input:
        manifests(weights(GRID, model) for model in STUDY.models),


rule finetune:
    input:
        all_made("finetune"),


rule merge:
    input:
        all_made("merge", "soup", "multitask"),


rule tables:
    input:
        [path for step in last(GRID) if step.rule not in ("plot", "report") for path in step.outputs(GRID, PATHS)],


onstart:
    start_study()


onerror:
    tables_of_what_there_is()


if MODULE:
    before("onstart", start_study)
    before("onerror", tables_of_what_there_is)
