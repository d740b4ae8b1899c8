rule gather:
    input:
        inputs_of("gather"),
    output:
        captioned("gather"),
    log:
        log_of("gather"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("gather"),
    shell:
        "python -m workflow_scripts.gather --study {params.study} > {log} 2>&1"


rule compare:
    input:
        inputs_of("compare"),
    output:
        captioned("compare"),
    log:
        log_of("compare"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        statistics=STUDY.statistics.model_dump_json(),
    shell:
        "python -m workflow_scripts.compare --study {params.study} > {log} 2>&1"
