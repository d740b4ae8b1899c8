"""Measure the inference costs of the architectures of a task's systems: latency, throughput, memory, energy."""

import functools

from graft.compute import energy, hardware, provenance
from graft.encoders import features
from graft.measuring import measurements
from graft.measuring.architecture import architecture
from graft.measuring.latency import Answer, Subject, Texts, measure
from graft.measuring.memory import peak_bytes
from graft.merging.loading import load
from graft.study import families, program, runs


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    program.check_fingerprint(families.fingerprint(grid, args.task), args.fingerprint, args.task)
    launch, settings = grid.study.launch, grid.study.cost
    hardware.use_threads(launch.threads)
    device = hardware.device_of(launch)

    def answering(folder) -> Answer:
        return load(folder).to(device).logits

    subjects, names = {}, {}
    for family in families.families(grid, args.task):
        run, system = family.run, family.run.system
        folder = paths.run(args.task, system.name, run.seed)
        runs.read_made(folder / "build.json", grid.made(args.task, system.name, run.seed))
        model = grid.reads_as(system)
        tokens, max_tokens = runs.tokens(grid, paths, args.task, model, "report"), grid.max_tokens(args.task, model)
        # Measure identical architectures only once if they read the same tokens.
        name = f"{architecture(folder / 'model')}@{grid.study.tokenizer_of(model)}-{max_tokens}"
        names[run.id] = name
        if name not in subjects:
            rows = features.fit_rows(len(tokens), settings.texts)
            texts = Texts.of(tokens, max_tokens, rows, settings.batch_size)
            subjects[name] = Subject(functools.partial(answering, folder / "model"), texts)
    # Before this process computes anything, because these processes are forked from it.
    peaks = {name: peak_bytes(subject.load, subject.texts.batches, device) for name, subject in subjects.items()}
    with program.progress(f"measure {args.task}") as report:
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
        fingerprint=args.fingerprint,
        task=args.task,
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
    measurements.write(paths.costs(args.task), measured)


if __name__ == "__main__":
    program.run(main)
