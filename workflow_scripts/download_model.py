"""Import a published model into the study as float32 safetensors with a checked tokenizer."""

from graft.encoders.pretrained import fetch_model
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.models import DownloadModel


def make(step: DownloadModel, grid: Grid, paths: Paths) -> None:
    source = grid.study.models[step.model].source
    manifest = fetch_model(source, f"models.{step.model}.source", paths.model(step.model), step.fingerprint(grid))
    print(step.model, manifest["parameters"], "parameters; pooler:", manifest["pooler"])


if __name__ == "__main__":
    program.run_step(DownloadModel, __doc__, threads=False)
