rule transfer:
    input:
        records_of(GRID.transfer_runs),
    output:
        captioned(PATHS.tables / "transfer.csv"),
    log:
        PATHS.logs / "transfer.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        fingerprint=GRID.transferred(),
        statistics=STUDY.statistics.model_dump_json(),
    shell:
        "python -m workflow_scripts.transfer --study {params.study} > {log} 2>&1"
