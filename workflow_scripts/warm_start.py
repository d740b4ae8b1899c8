"""Fine-tune a large model for a few steps from one of several starts, at every rate; save the best on `select`."""

from graft.study import program
from workflow_scripts.finetune_model import make as make

if __name__ == "__main__":
    program.run_job("warm_start", __doc__)
