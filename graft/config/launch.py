"""How the compute jobs of a study run: device, precision, and the processes of one fine-tuning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from graft.config.sections import Few, Positive, Section

Tracker = Literal["tensorboard", "wandb", "mlflow"]
_OF_ONE_PROCESS = {"device", "precision", "threads"}
# `gpus` and `nodes` have one by the number of processes.
_WITHOUT_EFFECT = {"checkpoint_minutes", "trackers", "gpus", "nodes"}


class Launch(Section):
    """How the compute jobs run. `gpus` and `nodes` spread every fine-tuning; all other jobs are one process each."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of training's forward and backward passes (bf16: autocast, weights stay fp32); auto: bf16 where it is fast."""
    threads: Few = 1
    """CPU threads per process; they change results in the last digits, so they are part of the fingerprint."""
    gpus: Few | None = None
    """Processes per node of a fine-tuning, each with a GPU of its own (with `device: cpu` the GPUs are asked for and
    not used). Left out: one process, without a GPU on `device: cpu`."""
    nodes: Few = 1
    """Nodes of a fine-tuning; more than one needs SLURM. `batch_size` is shared out among all processes."""
    strategy: Literal["ddp", "zero1", "zero2", "zero3"] = "ddp"
    """What processes share: gradients (DDP), or DeepSpeed ZeRO: optimizer states too, gradients too, weights too."""
    pass_tokens: Positive | None = None
    """Most tokens, padding with them, of one forward pass in training: a process takes its share of a batch in as many
    passes as that needs. Left out: in one."""
    tf32: bool = True
    """Whether GPUs multiply fp32 matrices in TF32 in training; inference never does."""
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    """Kernel of attention in fine-tuning: torch's fused one, or plain products. auto: fused on a GPU, else plain."""
    cuda_graphs: bool = True
    """Whether a classifier's fine-tuning by one process on a GPU records its passes, one for each length of batch in
    steps of 8 tokens, and replays them: much faster where texts are short and batches small, so that kernels take
    longer to start than to run. Not with `pass_tokens`, since it takes memory."""
    checkpoint_minutes: Annotated[float, Field(ge=0, le=100_000)] | None = 10.0
    """Between two checkpoints of a fine-tuning (0: at each step; null: only when it is told to stop)."""
    trackers: tuple[Tracker, ...] = ()
    """Where else training.jsonl goes; the package must be installed."""

    @property
    def processes(self) -> int:
        """Of one fine-tuning."""
        return (self.gpus or 1) * self.nodes

    @property
    def distributed(self) -> bool:
        """Whether a fine-tuning needs more than to be called."""
        return self.processes > 1 or self.strategy != "ddp"

    @property
    def gpus_of_a_job(self) -> int:
        """What a job of one process asks for."""
        return 0 if self.device == "cpu" else 1

    @property
    def stage(self) -> int:
        """Of ZeRO; 0 for none."""
        return int(self.strategy.removeprefix("zero")) if self.strategy != "ddp" else 0

    def alone(self) -> Launch:
        """The same, for a job of one process."""
        return self.model_copy(update={"gpus": None, "nodes": 1, "strategy": "ddp"})

    def of_one_process(self) -> dict[str, Any]:
        """The settings that a result of any training depends on."""
        return self.model_dump(include=_OF_ONE_PROCESS)

    def of_inference(self) -> dict[str, Any]:
        """The settings that inference, which is always in fp32, depends on."""
        return self.model_dump(include={"device", "threads"})

    def of_finetuning(self) -> dict[str, Any]:
        """The settings that a fine-tuning's result depends on. Those of many processes came later, and count where they
        are not at their default: what was made before them stays valid."""
        later = self.model_dump(exclude_defaults=True, exclude=_OF_ONE_PROCESS | _WITHOUT_EFFECT)
        return self.of_one_process() | later | ({"processes": self.processes} if self.processes > 1 else {})
