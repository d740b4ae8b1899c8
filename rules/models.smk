rule download_model:
    output:
        PATHS.model("{model}") / "manifest.json",
    log:
        PATHS.logs / "download_model/{model}.log",
    wildcard_constraints:
        model=either(PUBLISHED),
    localrule: True
    # It converts weights to one format, which needs torch; the environment for downloads has none.
    conda:
        "../envs/merge.yaml"
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.model(w.model),
    shell:
        "python -m workflow_scripts.download_model --study {params.study}"
        " --model {wildcards.model}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule distil_model:
    input:
        all_data(),
        lambda w: weights(STUDY.models[w.model].source.teacher),
    output:
        PATHS.model("{model}") / "manifest.json",
    log:
        PATHS.logs / "distil_model/{model}.log",
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
        runtime=training_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.model(w.model),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.distil_model --study {params.study}"
        " --model {wildcards.model}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule initialise_model:
    input:
        lambda w: weights(STUDY.models[w.model].source.like),
    output:
        PATHS.model("{model}") / "manifest.json",
    log:
        PATHS.logs / "initialise_model/{model}.log",
    wildcard_constraints:
        model=either(made_by("initialise_model")),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.model(w.model),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.initialise_model --study {params.study}"
        " --model {wildcards.model}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule pretrain_model:
    input:
        all_data(),
        lambda w: weights(STUDY.models[w.model].source.like),
    output:
        PATHS.model("{model}") / "manifest.json",
    log:
        PATHS.logs / "pretrain_model/{model}.log",
    wildcard_constraints:
        model=either(made_by("pretrain_model")),
    conda:
        "../envs/train.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.model(w.model),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.pretrain_model --study {params.study}"
        " --model {wildcards.model}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"
