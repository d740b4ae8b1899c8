"""What a job imports before it computes: most of what a short one costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Each takes a tenth of a second to several. Only the programs that need one may import it, as they come to need it.
SLOW = {"matplotlib", "sklearn", "datasets", "evaluate", "peft", "deepspeed", "snakemake", "huggingface_hub"}
# What transformers and torch bring along that no BERT needs.
COMPILER = {"torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torch.distributed.fsdp", "sympy"}
MODELS = SLOW - {"huggingface_hub"} | COMPILER | {"scipy"}
# By what none of them imports: the programs. Torch takes 0.9 s of CPU time; transformers 1, and 2 with the compiler.
NEVER = [
    (SLOW | {"torch", "transformers", "scipy"}, "download_task locate_tokens tokenize_task"),
    (SLOW | {"torch", "transformers"}, "gather compare transfer tabulate_costs plot report"),
    (SLOW | COMPILER | {"transformers", "pandas", "scipy"}, "majority probe"),
    (
        MODELS | {"pandas"},
        "budget_model calibrate distil_model download_model embed_layers embed_task ensemble_models finetune_model "
        "initialise_model joint_models keep_models measure_cost merge_encoders model_statistics multitask_models "
        "pretrain_model probe_layers soup_models train_joint warm_start",
    ),
    (MODELS, "evaluate merge_models sweep"),
    # They import what their steps need, when a step is done.
    (
        SLOW | {"torch", "transformers", "pandas", "scipy"},
        "build_model make_multitask make_probes make_soups make_systems",
    ),
]


def loaded_after(code: str) -> set[str]:
    code = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(("never", "programs"), NEVER, ids=[programs.split()[0] for _, programs in NEVER])
def test_programs_import_nothing_slow_that_they_do_not_need(never, programs):
    imports = "import " + ", ".join(f"workflow_scripts.{name}" for name in programs.split())
    assert loaded_after(imports) & never == set()


def test_every_program_is_in_the_table():
    listed = sorted(name for _, programs in NEVER for name in programs.split())
    assert listed == sorted(file.stem for file in (ROOT / "workflow_scripts").glob("[!_]*.py"))


def test_an_accuracy_takes_no_scipy_and_correlations_can_have_it():
    code = (
        "import workflow_scripts.evaluate, numpy as np\n"
        "from graft.registry.tasks import TASKS\nfrom graft.tasks import metrics\n"
        "one, two = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0])\n"
        "assert metrics.compute(one, two, TASKS['rte'])['accuracy'] == 1\n"
    )
    assert loaded_after(code) & {"scipy.stats", "scipy.optimize", "sklearn"} == set()
    code += "assert metrics.compute(one[:, :1], two, TASKS['stsb'])['pearson'] < -0.9"
    assert "scipy.stats" in loaded_after(code)
