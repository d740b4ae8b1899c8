rule measure_cost:
    input:
        # Its fingerprint says all: a model that is made again takes as long as before.
        lambda wildcards: list(map(ancient, inputs_of("measure_cost")(wildcards))),
    output:
        outputs_of("measure_cost"),
    log:
        log_of("measure_cost"),
    # Models stay until they are measured.
    priority: 50
    conda:
        "../envs/merge.yaml"
    # Nothing else may run beside it: it takes all cores here, and a whole node on a cluster.
    threads: ALL_CORES
    resources:
        **GPU,
        mem_mb=merging_memory,
        runtime=minutes_of("measure_cost"),
        slurm_extra="--exclusive",
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("measure_cost"),
    shell:
        program("measure_cost")


rule tabulate_costs:
    input:
        inputs_of("tabulate_costs"),
    output:
        captioned("tabulate_costs"),
    log:
        log_of("tabulate_costs"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
    shell:
        tables_program("tabulate_costs")
