"""Import a published model into the study as float32 safetensors with a checked tokenizer."""

from graft.encoders.pretrained import fetch_model
from graft.study import program
from graft.study.steps.models import DownloadModel


def main() -> None:
    step, grid, paths = program.start(DownloadModel, __doc__, threads=False)
    source = grid.study.models[step.model].source
    manifest = fetch_model(source, f"models.{step.model}.source", paths.model(step.model), step.fingerprint(grid))
    print(step.model, manifest["parameters"], "parameters; pooler:", manifest["pooler"])


if __name__ == "__main__":
    program.run(main)
