rule calibrate:
    input:
        inputs_of("calibrate"),
    output:
        outputs_of("calibrate"),
    log:
        log_of("calibrate"),
    wildcard_constraints:
        depth=either(DEPTHS),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("calibrate"),
    shell:
        program("calibrate")


rule sweep:
    input:
        inputs_of("sweep"),
    output:
        outputs_of("sweep"),
    log:
        log_of("sweep"),
    wildcard_constraints:
        merge=either(GRID.merges),
    group:
        TOGETHER
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=merging_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("sweep"),
    shell:
        program("sweep")


rule merge_models:
    input:
        inputs_of("merge_models"),
    output:
        outputs_of("merge_models"),
    log:
        log_of("merge_models"),
    wildcard_constraints:
        system=made_with("merge"),
    group:
        TOGETHER
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=merging_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("merge_models"),
    shell:
        program("merge_models")
