rule download_task:
    output:
        PATHS.data("{task}") / "manifest.json",
        PATHS.data("{task}") / "report_labels.parquet",
    log:
        PATHS.logs / "download_task/{task}.log",
    wildcard_constraints:
        task=DATA_SETS,
    localrule: True
    conda:
        "../envs/head.yaml"
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.data(w.task),
    shell:
        "python -m workflow_scripts.download_task --study {params.study}"
        " --task {wildcards.task}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule tokenize_task:
    input:
        PATHS.data("{task}") / "manifest.json",
        PATHS.model("{tokenizer}") / "manifest.json",
    output:
        PATHS.tokens("{task}", "{tokenizer}") / "manifest.json",
    log:
        PATHS.logs / "tokenize_task/{task}/{tokenizer}.log",
    wildcard_constraints:
        task=DATA_SETS,
    localrule: True
    conda:
        "../envs/head.yaml"
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.tokens(w.task, w.tokenizer),
    shell:
        "python -m workflow_scripts.tokenize_task --study {params.study}"
        " --task {wildcards.task} --tokenizer {wildcards.tokenizer}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"
