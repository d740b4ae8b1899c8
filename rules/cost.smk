rule measure_cost:
    input:
        measured_inputs,
    output:
        PATHS.costs("{task}"),
    log:
        PATHS.logs / "measure_cost/{task}.log",
    conda:
        "../envs/merge.yaml"
    # Nothing else may run beside it: it takes all cores here, and a whole node on a cluster.
    threads: ALL_CORES
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
        slurm_extra="--exclusive",
    params:
        study=PATHS.study,
        fingerprint=lambda w: families.fingerprint(GRID, w.task),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.measure_cost --study {params.study}"
        " --task {wildcards.task}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule tabulate_costs:
    input:
        PATHS.tables / "runs.csv",
        [PATHS.costs(task) for task in families.measured_tasks(GRID)],
    output:
        captioned(COSTS),
    log:
        PATHS.logs / "tabulate_costs.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
    shell:
        "python -m workflow_scripts.tabulate_costs --study {params.study} > {log} 2>&1"
