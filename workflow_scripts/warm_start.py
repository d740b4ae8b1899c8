"""Fine-tune a large model for a few steps from one of several starts, at every rate; save the best on `select`."""

from graft.study import program
from graft.study.steps.warm_start import WarmStart
from workflow_scripts import finetune_model


def main() -> None:
    finetune_model.main(WarmStart, __doc__)


if __name__ == "__main__":
    program.run(main)
