import re
import shutil
import subprocess

import pytest

from graft.reporting import latex

BIG = {seed: 0.59 + 0.02 * seed for seed in range(6)}
VALUES = {
    "finetune.big": BIG,
    "merge.interpolate.tiny-into-big": {seed: value + (0.02 if seed % 2 else -0.03) for seed, value in BIG.items()}
    | {1: "failed"},
    "majority": {"all": 0.5},
}


def test_a_table_for_booktabs_holds_every_system_once(runs_of, compare, study):
    text = latex.to_latex(compare(runs_of(VALUES), study()), 0.95)
    assert all(text.count(rule) == 1 for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\label{tab:rte}"))
    body = text.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
    assert [line.split(" & ")[0] for line in body] == ["finetune.big", "merge.interpolate", "majority"]
    assert all(line.count(" & ") == 4 and line.endswith("\\\\") for line in body)
    few = {system: {s: v for s, v in of.items() if s in (0, 2, "all")} for system, of in VALUES.items()}
    short = latex.to_latex(compare(runs_of(few), study()), 0.95)
    assert "[" not in short.split("\\midrule")[1] and "underline" not in short and "interval" not in short.split(".")[1]
    assert "2 seeds are too few for intervals, which take 5, and for p values" in short
    assert "\\textbf{0.640 [" in body[0] and "$-$0.0" in body[1] and "underline" not in "".join(body)
    near = compare(runs_of(VALUES | {"finetune.tiny": {s: value - 0.005 for s, value in BIG.items()}}), study())
    assert "finetune.tiny & \\underline{0.635 [" in latex.to_latex(near, 0.95)


def test_no_text_is_a_command_and_no_letter_is_out_of_reach(runs_of, compare, study):
    table = compare(runs_of(VALUES), study()).replace({"system": {"majority": "a_b%$#&{x}"}})
    text = latex.to_latex(table, 0.95)
    assert r"a\_b\%\$\#\&\{x\}" in text
    assert text.isascii()
    for line in text.splitlines()[1:]:
        assert not re.search(r"(?<!\\)[%#]", line), line


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_sets_it_within_the_column(runs_of, compare, study, tmp_path):
    table = compare(runs_of(VALUES), study()).replace({"system": {"majority": "a_b%$#&{x}~^ \\ of a long name " * 3}})
    (tmp_path / "comparison.tex").write_text(latex.to_latex(table, 0.95))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs,graphicx}\n"
        "\\begin{document}\\input{comparison}\\end{document}\n"
    )
    call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    said = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout[-2000:]
    assert "Overfull" not in said.stdout
