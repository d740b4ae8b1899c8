rule finetune_model:
    input:
        finetune_inputs,
    output:
        build("{task}", "{system}", "{seed}"),
    log:
        PATHS.logs / "finetune_model" / f"{RUNS}.log",
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
        fingerprint=lambda w: GRID.made(w.task, w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 {params.start} workflow_scripts.{params.program} --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"


use rule finetune_model as fewshot_model with:
    log:
        PATHS.logs / "fewshot_model" / f"{RUNS}.log",
    wildcard_constraints:
        system=made_with("fewshot"),
    params:
        program="fewshot_model",


use rule finetune_model as warm_start with:
    log:
        PATHS.logs / "warm_start" / f"{RUNS}.log",
    wildcard_constraints:
        system=made_with("warm_start"),
    params:
        program="warm_start",


use rule finetune_model as ensemble_models with:
    log:
        PATHS.logs / "ensemble_models" / f"{RUNS}.log",
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


rule embed_task:
    input:
        lambda w: weights(w.model),
        lambda w: tokens(w.task, w.model),
    output:
        PATHS.embeddings("{task}", "{model}") / "manifest.json",
    log:
        PATHS.logs / "embed_task/{task}/{model}.log",
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.embed(w.task, w.model),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.embed_task --study {params.study}"
        " --task {wildcards.task} --model {wildcards.model}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule embed_layers:
    input:
        lambda w: weights(GRID.pair(w.pair).large),
        lambda w: weights(GRID.pair(w.pair).small),
        lambda w: tokens(w.task, GRID.pair(w.pair).large),
    output:
        PATHS.layers("{task}", "{pair}") / "manifest.json",
    log:
        PATHS.logs / "embed_layers/{task}/{pair}.log",
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.embed_layers(w.task, w.pair),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.embed_layers --study {params.study}"
        " --task {wildcards.task} --pair {wildcards.pair}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule probe:
    input:
        lambda w: weights(w.model),
        lambda w: embeddings(w.task, w.model),
    output:
        build("{task}", "probe.{pooling}.{model}", "all"),
    log:
        PATHS.logs / "probe/{task}/probe.{pooling}.{model}/seed-all.log",
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
        fingerprint=lambda w: GRID.probe(w.task, w.model, w.pooling),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.probe --study {params.study}"
        " --task {wildcards.task} --model {wildcards.model}"
        " --pooling {wildcards.pooling} --fingerprint {params.fingerprint} > {log} 2>&1"


rule majority:
    input:
        PATHS.data("{task}") / "manifest.json",
    output:
        build("{task}", "majority", "all"),
    log:
        PATHS.logs / "majority/{task}/majority/seed-all.log",
    localrule: True
    conda:
        "../envs/merge.yaml"
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.made(w.task, "majority", "all"),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.majority --study {params.study}"
        " --task {wildcards.task}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"
