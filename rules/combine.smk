rule model_statistics:
    input:
        needed_by("model_statistics", "task", "system", "seed", "statistic"),
    output:
        PATHS.model_statistics("{task}", "{system}", "{seed}", "{statistic}") / "manifest.json",
    log:
        PATHS.logs / "model_statistics" / RUNS / "{statistic}.log",
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
        fingerprint=lambda w: GRID.model_statistics(w.task, w.system, seed_of(w), w.statistic),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.model_statistics --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --statistic {wildcards.statistic}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule soup_models:
    input:
        needed_by("soup_models", "task", "system", "seed"),
    output:
        build("{task}", "{system}", "{seed}"),
    log:
        PATHS.logs / "soup_models" / f"{RUNS}.log",
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
        fingerprint=lambda w: GRID.made(w.task, w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.soup_models --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"


rule merge_encoders:
    input:
        needed_by("merge_encoders", "system", "seed"),
    output:
        PATHS.encoder("{system}", "{seed}") / "manifest.json",
    log:
        PATHS.logs / "merge_encoders/{system}/seed-{seed}.log",
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
        fingerprint=lambda w: GRID.encoder(w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.merge_encoders --study {params.study}"
        " --system {wildcards.system} --seed {wildcards.seed}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule multitask_models:
    input:
        needed_by("multitask_models", "task", "system", "seed"),
    output:
        build("{task}", "{system}", "{seed}"),
    log:
        PATHS.logs / "multitask_models" / f"{RUNS}.log",
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
        fingerprint=lambda w: GRID.made(w.task, w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.multitask_models --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"
