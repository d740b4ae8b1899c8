rule finetune_model:
    input:
        inputs_of("finetune_model"),
    output:
        outputs_of("finetune_model"),
    log:
        log_of("finetune_model"),
    wildcard_constraints:
        system=made_with("finetune"),
    conda:
        "../envs/train.yaml"
    threads: TRAINING_THREADS
    resources:
        **TRAINING,
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        start=TRAINER,
        program="finetune_model",
        study=PATHS.study,
        fingerprint=fingerprint_of("finetune_model"),
    shell:
        program("finetune_model", start="{params.start}", name="{params.program}")


use rule finetune_model as fewshot_model with:
    input:
        inputs_of("fewshot_model"),
    log:
        log_of("fewshot_model"),
    wildcard_constraints:
        system=made_with("fewshot"),
    params:
        program="fewshot_model",
        fingerprint=fingerprint_of("fewshot_model"),


use rule finetune_model as warm_start with:
    input:
        inputs_of("warm_start"),
    log:
        log_of("warm_start"),
    wildcard_constraints:
        system=made_with("warm_start"),
    params:
        program="warm_start",
        fingerprint=fingerprint_of("warm_start"),


use rule finetune_model as ensemble_models with:
    input:
        inputs_of("ensemble_models"),
    log:
        log_of("ensemble_models"),
    wildcard_constraints:
        system=made_with("ensemble"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        start="python -m",
        program="ensemble_models",
        fingerprint=fingerprint_of("ensemble_models"),


rule embed_task:
    input:
        inputs_of("embed_task"),
    output:
        outputs_of("embed_task"),
    log:
        log_of("embed_task"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("embed_task"),
    shell:
        program("embed_task")


rule embed_layers:
    input:
        inputs_of("embed_layers"),
    output:
        outputs_of("embed_layers"),
    log:
        log_of("embed_layers"),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("embed_layers"),
    shell:
        program("embed_layers")


rule probe:
    input:
        inputs_of("probe"),
    output:
        outputs_of("probe"),
    log:
        log_of("probe"),
    wildcard_constraints:
        pooling="cls|mean",
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("probe"),
    shell:
        program("probe")


rule majority:
    input:
        inputs_of("majority"),
    output:
        outputs_of("majority"),
    log:
        log_of("majority"),
    localrule: True
    conda:
        "../envs/merge.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("majority"),
    shell:
        program("majority")
