rule evaluate:
    input:
        inputs_of("evaluate"),
    output:
        outputs_of("evaluate"),
    log:
        log_of("evaluate"),
    wildcard_constraints:
        task=DATA_SETS,
        system=either(GRID.systems),
    group:
        TOGETHER
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=evaluation_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("evaluate"),
    shell:
        program("evaluate")
