"""Fine-tune a large model on as many train rows as the training FLOPs of the merge that is best on `select` allow."""

from graft.study import program
from workflow_scripts.finetune_model import make as make

if __name__ == "__main__":
    program.run_job("fewshot_model", __doc__)
