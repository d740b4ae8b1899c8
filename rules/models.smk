rule download_model:
    output:
        outputs_of("download_model"),
    log:
        log_of("download_model"),
    wildcard_constraints:
        model=either(PUBLISHED),
    localrule: True
    # It converts weights to one format, which needs torch; the environment for downloads has none.
    conda:
        "../envs/merge.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("download_model"),
    shell:
        program("download_model", prefix="")


rule distil_model:
    input:
        inputs_of("distil_model"),
    output:
        outputs_of("distil_model"),
    log:
        log_of("distil_model"),
    wildcard_constraints:
        model=either(made_by("distil_model")),
    # Every job of the small model waits for it.
    priority: 100
    conda:
        "../envs/train.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=training_memory,
        runtime=minutes_of("distil_model"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("distil_model"),
    shell:
        program("distil_model")


rule initialise_model:
    input:
        inputs_of("initialise_model"),
    output:
        outputs_of("initialise_model"),
    log:
        log_of("initialise_model"),
    wildcard_constraints:
        model=either(made_by("initialise_model")),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("initialise_model"),
    shell:
        program("initialise_model")


rule pretrain_model:
    input:
        inputs_of("pretrain_model"),
    output:
        outputs_of("pretrain_model"),
    log:
        log_of("pretrain_model"),
    wildcard_constraints:
        model=either(made_by("pretrain_model")),
    conda:
        "../envs/train.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=training_memory,
        runtime=minutes_of("pretrain_model"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("pretrain_model"),
    shell:
        program("pretrain_model")
