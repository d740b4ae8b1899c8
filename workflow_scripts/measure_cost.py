"""Measure the inference costs of the architectures of a task's systems: latency, throughput, memory, energy."""

import functools

from graft.compute import energy, hardware, provenance
from graft.encoders import features
from graft.measuring import measurements
from graft.measuring.architecture import architecture
from graft.measuring.latency import Answer, Subject, Texts, measure
from graft.measuring.memory import peak_bytes
from graft.merging.loading import load
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.making import making
from graft.study.steps.measure_cost import MeasureCost


def make(step: MeasureCost, grid: Grid, paths: Paths) -> None:
    launch, settings = grid.study.launch, grid.study.cost
    device = hardware.device_of(launch)

    def answering(folder) -> Answer:
        return load(folder).to(device).logits

    subjects, names = {}, {}
    for run in step.runs(grid):
        folder, _ = runs.finished(grid, paths, making(grid, *run.made))
        model = grid.reads_as(run.system)
        tokens, max_tokens = (
            runs.read_by(grid, paths, step.task, run.system, "report"),
            grid.max_tokens(step.task, model),
        )
        # Measure identical architectures only once if they read the same tokens.
        both = grid.runs_both(run.system)
        read = "+".join(map(grid.study.tokenizer_of, (both.large, both.small) if both else (model,)))
        name = f"{architecture(folder / 'model')}@{read}-{max_tokens}"
        names[run.id] = name
        if name not in subjects:
            rows = features.fit_rows(len(tokens), settings.texts)
            texts = Texts.of(tokens, max_tokens, rows, settings.batch_size)
            subjects[name] = Subject(functools.partial(answering, folder / "model"), texts)
    # Before this process computes anything, because these processes are forked from it.
    peaks = {name: peak_bytes(subject.load, subject.texts.batches, device) for name, subject in subjects.items()}
    with program.progress(f"measure {step.task}") as report:
        timings = measure(subjects, settings.rounds, energy.meter(device), report)
    here = provenance.hardware()
    found = {
        name: measurements.Measurement(
            latency_p50_seconds=timing.quantile(0.5),
            latency_p90_seconds=timing.quantile(0.9),
            examples_per_second=timing.examples_per_second,
            inference_peak_memory_bytes=peaks[name],
            energy_joules_per_example=timing.joules_per_example,
        )
        for name, timing in timings.items()
    }
    measured = measurements.Measurements(
        fingerprint=step.fingerprint(grid),
        task=step.task,
        texts=len(rows),
        batch_size=settings.batch_size,
        rounds=settings.rounds,
        device=device,
        hardware=here["gpu"] if device == "cuda" else here["cpu"],
        threads=launch.threads,
        architectures=found,
        runs=names,
        provenance=provenance.of_making(launch),
    )
    measurements.write(step.output(paths), measured)


if __name__ == "__main__":
    program.run_step(MeasureCost, __doc__)
