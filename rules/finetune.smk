rule finetune_model:
    input:
        inputs_of("finetune_model"),
    output:
        outputs_of("finetune_model"),
    log:
        log_of("finetune_model"),
    wildcard_constraints:
        system=made_with("finetune"),
    group:
        together("finetune_model")
    conda:
        "../envs/train.yaml"
    threads: TRAINING_THREADS
    resources:
        **TRAINING,
        mem_mb=training_memory,
        runtime=minutes_of("finetune_model"),
    params:
        start=TRAINER,
        program="finetune_model",
        study=PATHS.study,
        fingerprint=fingerprint_of("finetune_model"),
    shell:
        program("finetune_model", start="{params.start}", name="{params.program}")


use rule finetune_model as warm_start with:
    input:
        inputs_of("warm_start"),
    output:
        outputs_of("warm_start"),
    log:
        log_of("warm_start"),
    wildcard_constraints:
        system=made_with("warm_start"),
    group:
        together("warm_start")
    resources:
        **TRAINING,
        mem_mb=training_memory,
        runtime=minutes_of("warm_start"),
    params:
        program="warm_start",
        fingerprint=fingerprint_of("warm_start"),


rule budget_model:
    input:
        inputs_of("budget_model"),
    output:
        outputs_of("budget_model"),
    log:
        log_of("budget_model"),
    group:
        together("budget_model")
    conda:
        "../envs/train.yaml"
    threads: TRAINING_THREADS
    resources:
        **TRAINING,
        mem_mb=training_memory,
        runtime=minutes_of("budget_model"),
    params:
        start=TRAINER,
        study=PATHS.study,
        fingerprint=fingerprint_of("budget_model"),
    shell:
        program("budget_model", start="{params.start}")


rule embed_task:
    input:
        inputs_of("embed_task"),
    output:
        outputs_of("embed_task"),
    log:
        log_of("embed_task"),
    priority: 60
    group:
        together("embed_task")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=minutes_of("embed_task"),
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
    priority: 60
    group:
        together("embed_layers")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=minutes_of("embed_layers"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("embed_layers"),
    shell:
        program("embed_layers")


rule make_probes:
    input:
        inputs_of("make_probes"),
    output:
        outputs_of("make_probes"),
    log:
        log_of("make_probes"),
    priority: 60
    group:
        together("make_probes")
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=minutes_of("make_probes"),
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("make_probes"),
    shell:
        program("make_probes")
