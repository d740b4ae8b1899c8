rule calibrate:
    input:
        inputs_of("calibrate"),
    output:
        outputs_of("calibrate"),
    log:
        log_of("calibrate"),
    wildcard_constraints:
        depth=either(DEPTHS),
    priority: 60
    group:
        together("calibrate")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=merging_memory,
        runtime=minutes_of("calibrate"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("calibrate"),
    shell:
        program("calibrate")


rule make_systems:
    input:
        inputs_of("make_systems"),
    output:
        outputs_of("make_systems"),
    log:
        log_of("make_systems"),
    # Models and states stay until it has read them, so that it and what it waits for go before fine-tunings.
    priority: 40
    group:
        together("make_systems")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=merging_memory,
        runtime=minutes_of("make_systems"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("make_systems"),
    shell:
        program("make_systems")
