rule gather:
    input:
        records_of(GRID.runs),
    output:
        PATHS.tables / "runs.csv",
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
        TABLES[1:],
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


rule plot:
    input:
        PATHS.tables / "comparison.csv",
    output:
        FIGURES,
    log:
        PATHS.logs / "plot.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
    shell:
        "python -m workflow_scripts.plot --study {params.study} > {log} 2>&1"
