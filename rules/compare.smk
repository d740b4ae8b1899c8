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
        tables_program("gather")


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
        tables_program("compare")
