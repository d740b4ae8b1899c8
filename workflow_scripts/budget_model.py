"""Fine-tune a model with each fraction of its steps, or try learning rates for that, on one task with one seed."""

from graft.study import program
from workflow_scripts.finetune_model import make as make

if __name__ == "__main__":
    program.run_job("budget_model", __doc__)
