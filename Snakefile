# Graft: does merging a fine-tuned small model into a pre-trained large one beat fine-tuning the large one?
from snakemake.utils import min_version

min_version("9.0")


# The default study is loaded alone: Snakemake would merge it into any other that is given.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config.yaml"


report: "report/study.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/finetune.smk"
include: "rules/merge.smk"
include: "rules/combine.smk"
include: "rules/evaluate.smk"
include: "rules/cost.smk"
include: "rules/compare.smk"
include: "rules/transfer.smk"
include: "rules/report.smk"


localrules:
    all,
    download,
    data,
    models,
    finetune,
    merge,
    tables,


rule all:
    default_target: True
    input:
        TABLES,
        COSTS,
        TRANSFER,
        PATHS.figures,
        PATHS.report,


# All that needs the network (docs/airgap.md).
rule download:
    input:
        all_data(),
        all_transfer_data(),
        all_published(),


rule data:
    input:
        all_data(),
        all_transfer_data(),


rule models:
    input:
        all_models(),


rule finetune:
    input:
        all_made("finetune"),


rule merge:
    input:
        all_made("merge", "soup", "multitask"),


rule tables:
    input:
        TABLES,
        COSTS,
        TRANSFER,


onstart:
    start_study()


onerror:
    tables_of_what_there_is()
