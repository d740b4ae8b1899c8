rule download_task:
    output:
        outputs_of("download_task"),
    log:
        log_of("download_task"),
    wildcard_constraints:
        task=DATA_SETS,
    localrule: True
    conda:
        "../envs/head.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("download_task"),
    shell:
        program("download_task", prefix="")


rule tokenize_task:
    input:
        inputs_of("tokenize_task"),
    output:
        outputs_of("tokenize_task"),
    log:
        log_of("tokenize_task"),
    wildcard_constraints:
        task=DATA_SETS,
    localrule: True
    conda:
        "../envs/head.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("tokenize_task"),
    shell:
        program("tokenize_task", prefix="")


rule locate_tokens:
    input:
        inputs_of("locate_tokens"),
    output:
        outputs_of("locate_tokens"),
    log:
        log_of("locate_tokens"),
    wildcard_constraints:
        task=DATA_SETS,
    localrule: True
    conda:
        "../envs/head.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("locate_tokens"),
    shell:
        program("locate_tokens", prefix="")
