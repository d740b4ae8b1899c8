rule calibrate:
    input:
        lambda w: weights(GRID.pair(w.pair).large),
        lambda w: weights(GRID.pair(w.pair).small),
        lambda w: tokens(w.task, GRID.pair(w.pair).large),
    output:
        PATHS.statistics("{task}", "{pair}", "{depth}") / "manifest.json",
    log:
        PATHS.logs / "calibrate/{task}/{pair}/{depth}.log",
    wildcard_constraints:
        depth=either(DEPTHS),
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **GPU,
        mem_mb=inference_memory,
        runtime=inference_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.calibrate(w.task, w.pair, w.depth),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.calibrate --study {params.study}"
        " --task {wildcards.task} --pair {wildcards.pair} --depth {wildcards.depth}"
        " --fingerprint {params.fingerprint} > {log} 2>&1"


rule sweep:
    input:
        sweep_inputs,
    output:
        PATHS.sweep("{task}", "{merge}", "{pair}", "{seed}") / "manifest.json",
    log:
        PATHS.logs / "sweep/{task}/{merge}.{pair}/seed-{seed}.log",
    wildcard_constraints:
        merge=either(GRID.merges),
    group:
        TOGETHER
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=merging_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.sweep(w.task, w.merge, w.pair, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.sweep --study {params.study}"
        " --task {wildcards.task} --merge {wildcards.merge}"
        " --pair {wildcards.pair} --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"


rule merge_models:
    input:
        merge_inputs,
    output:
        build("{task}", "{system}", "{seed}"),
    log:
        PATHS.logs / "merge_models/{task}/{system}/seed-{seed}.log",
    wildcard_constraints:
        system=made_with("merge"),
    group:
        TOGETHER
    conda:
        "../envs/merge.yaml"
    threads: STUDY.launch.threads
    resources:
        **SMALL,
        mem_mb=inference_memory,
        runtime=merging_minutes,
    params:
        study=PATHS.study,
        fingerprint=lambda w: GRID.made(w.task, w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.merge_models --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"
