rule model_statistics:
    input:
        inputs_of("model_statistics"),
    output:
        outputs_of("model_statistics"),
    log:
        log_of("model_statistics"),
    wildcard_constraints:
        system=made_with("finetune"),
        statistic="fisher|gram",
    group:
        together("model_statistics")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=minutes_of("model_statistics"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("model_statistics"),
    shell:
        program("model_statistics")


rule make_soups:
    input:
        inputs_of("make_soups"),
    output:
        outputs_of("make_soups"),
    log:
        log_of("make_soups"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=merging_memory,
        runtime=minutes_of("make_soups"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("make_soups"),
    shell:
        program("make_soups")


rule make_multitask:
    input:
        inputs_of("make_multitask"),
    output:
        outputs_of("make_multitask"),
    log:
        log_of("make_multitask"),
    group:
        together("make_multitask")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=merging_memory,
        runtime=minutes_of("make_multitask"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("make_multitask"),
    shell:
        program("make_multitask")
