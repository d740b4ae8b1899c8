rule plot:
    input:
        PATHS.tables / "comparison.csv",
    output:
        # The data decide which figures are drawn, so the output is a folder.
        report(
            directory(PATHS.figures),
            patterns=["{figure,[a-z-]+}.{task}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{task}",
            labels={"figure": "{figure}", "task": "{task}"},
        ),
    log:
        PATHS.logs / "plot.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        captions=captions.FIGURES,
    shell:
        "python -m workflow_scripts.plot --study {params.study} > {log} 2>&1"


rule report:
    input:
        TABLES,
        TRANSFER,
        COSTS,
        PATHS.figures,
    output:
        report(
            PATHS.report,
            caption="../report/page.rst",
            category="Report",
            labels={"file": "report.html"},
        ),
    log:
        PATHS.logs / "report.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        study=PATHS.study,
        statistics=STUDY.statistics.model_dump_json(),
        notes={name: model.note for name, model in STUDY.models.items()},
    shell:
        "python -m workflow_scripts.report --study {params.study} > {log} 2>&1"
