rule plot:
    input:
        inputs_of("plot"),
    output:
        # The data decide which figures are drawn, so the output is a folder.
        report(
            directory(outputs_of("plot")),
            patterns=["{figure,[a-z0-9-]+}.{task}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{task}",
            labels={"figure": "{figure}", "task": "{task}"},
        ),
    log:
        log_of("plot"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        captions=captions.by_name(GRID.scenarios()),
    shell:
        tables_program("plot")


rule report:
    input:
        inputs_of("report"),
    output:
        report(
            outputs_of("report"),
            caption="../report/page.rst",
            category="Report",
            labels={"file": "report.html"},
        ),
    log:
        log_of("report"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        statistics=STUDY.statistics.model_dump_json(),
        notes={name: model.note for name, model in STUDY.models.items()},
    shell:
        tables_program("report")


rule keep_models:
    input:
        inputs_of("keep_models"),
    output:
        outputs_of("keep_models"),
    log:
        log_of("keep_models"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        fingerprint=fingerprint_of("keep_models"),
    shell:
        program("keep_models")
