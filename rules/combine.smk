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
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("model_statistics"),
    shell:
        program("model_statistics")


rule soup_models:
    input:
        inputs_of("soup_models"),
    output:
        outputs_of("soup_models"),
    log:
        log_of("soup_models"),
    wildcard_constraints:
        system=made_with("soup"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("soup_models"),
    shell:
        program("soup_models")


rule merge_encoders:
    input:
        inputs_of("merge_encoders"),
    output:
        outputs_of("merge_encoders"),
    log:
        log_of("merge_encoders"),
    wildcard_constraints:
        system=made_with("multitask"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("merge_encoders"),
    shell:
        program("merge_encoders")


rule multitask_models:
    input:
        inputs_of("multitask_models"),
    output:
        outputs_of("multitask_models"),
    log:
        log_of("multitask_models"),
    wildcard_constraints:
        system=made_with("multitask"),
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
        fingerprint=fingerprint_of("multitask_models"),
    shell:
        program("multitask_models")
