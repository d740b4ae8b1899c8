rule evaluate:
    input:
        evaluate_inputs,
    output:
        PATHS.root / "runs" / RUNS / "run.json",
        PATHS.root / "runs" / RUNS / "predictions.parquet",
    log:
        PATHS.logs / "evaluate" / f"{RUNS}.log",
    wildcard_constraints:
        task=DATA_SETS,
        system=either(GRID.systems),
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
        fingerprint=lambda w: GRID.evaluated(w.task, w.system, seed_of(w)),
    shell:
        "HF_HUB_OFFLINE=1 python -m workflow_scripts.evaluate --study {params.study}"
        " --task {wildcards.task} --system {wildcards.system}"
        " --seed {wildcards.seed} --fingerprint {params.fingerprint} > {log} 2>&1"
