"""Fine-tune a large model on as many train rows as the training FLOPs of the merge that is best on `select` allow."""

from graft.study import program
from graft.study.steps.fewshot_model import FewshotModel
from workflow_scripts import finetune_model


def main() -> None:
    finetune_model.main(FewshotModel, __doc__)


if __name__ == "__main__":
    program.run(main)
