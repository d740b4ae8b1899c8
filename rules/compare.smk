rule gather:
    input:
        records_of(GRID.runs),
    output:
        captioned(TABLES[0]),
    log:
        PATHS.logs / "gather.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        fingerprint=GRID.gathered(),
    shell:
        "python -m workflow_scripts.gather --study {params.study} > {log} 2>&1"


rule compare:
    input:
        PATHS.tables / "runs.csv",
    output:
        [captioned(table) for table in TABLES[1:]],
    log:
        PATHS.logs / "compare.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        statistics=STUDY.statistics.model_dump_json(),
    shell:
        "python -m workflow_scripts.compare --study {params.study} > {log} 2>&1"
