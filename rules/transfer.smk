rule transfer:
    input:
        inputs_of("transfer"),
    output:
        captioned("transfer"),
    log:
        log_of("transfer"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("transfer"),
        statistics=STUDY.statistics.model_dump_json(),
    shell:
        tables_program("transfer")
