"""How the compute jobs of a study run: device, precision, and the processes of one fine-tuning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from graft.config.section import Few, Positive, Section

Tracker = Literal["tensorboard", "wandb", "mlflow"]
_OF_ONE_PROCESS = {"device", "precision", "threads"}
# `gpus` and `nodes` matter only through the number of processes.
_WITHOUT_EFFECT = {"checkpoint_minutes", "trackers", "gpus", "nodes"}


class Launch(Section):
    """How the compute jobs run. `gpus` and `nodes` spread every fine-tuning; all other jobs are one process each."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of training's passes (bf16: autocast, weights stay fp32); auto: bf16 if the hardware computes in it."""
    threads: Few = 1
    """CPU threads per process; they change results in the last digits, so they are part of the fingerprint."""
    gpus: Few | None = None
    """Processes per node of a fine-tuning, each with its own GPU (with `device: cpu` the GPUs are requested but not
    used). Default: one process, without a GPU if `device: cpu`."""
    nodes: Few = 1
    """Nodes per fine-tuning; more than one needs SLURM. `batch_size` is divided among all processes."""
    strategy: Literal["ddp", "zero1", "zero2", "zero3"] = "ddp"
    """DDP, or DeepSpeed ZeRO, which splits the optimizer states (1), also gradients (2), also weights (3)."""
    pass_tokens: Positive | None = None
    """Maximum number of tokens, padding included, in one forward pass of training: a process splits its share of a
    batch into passes of at most this size. Default: a single pass."""
    tf32: bool = True
    """Whether GPUs multiply fp32 matrices in TF32 in training; inference never does."""
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    """Attention in fine-tuning: torch's fused kernel (sdpa) or plain products (eager). auto: fused on a GPU only."""
    cuda_graphs: bool = True
    """Whether fine-tuning a classifier in one process on a GPU records its passes, one for each batch length in steps
    of 8 tokens, and replays them: much faster for short texts and small batches, where kernels take longer to launch
    than to run. Has no effect with `pass_tokens`, since recordings take memory."""
    checkpoint_minutes: Annotated[float, Field(ge=0, le=100_000)] | None = 10.0
    """Time between two checkpoints of a fine-tuning (0: at every step; null: only when it is asked to stop)."""
    trackers: tuple[Tracker, ...] = ()
    """Trackers that also receive what training.jsonl records; their packages must be installed."""

    @property
    def processes(self) -> int:
        """Number of processes of one fine-tuning."""
        return (self.gpus or 1) * self.nodes

    @property
    def distributed(self) -> bool:
        """Whether a fine-tuning must be launched, rather than just called."""
        return self.processes > 1 or self.strategy != "ddp"

    @property
    def gpus_of_a_job(self) -> int:
        """Number of GPUs that a single-process job requests."""
        return 0 if self.device == "cpu" else 1

    def packs_on(self, device: str) -> bool:
        """Whether fine-tunings of classifiers on a device compute no padding: on a "cpu" with plain attention."""
        return device == "cpu" and self.attention != "sdpa"

    @property
    def stage(self) -> int:
        """ZeRO's stage; 0 without ZeRO."""
        return int(self.strategy.removeprefix("zero")) if self.strategy != "ddp" else 0

    def alone(self) -> Launch:
        """Return the same settings for a single-process job."""
        return self.model_copy(update={"gpus": None, "nodes": 1, "strategy": "ddp"})

    def of_one_process(self) -> dict[str, Any]:
        """Return the settings on which the result of any training depends."""
        return self.model_dump(include=_OF_ONE_PROCESS)

    def of_inference(self) -> dict[str, Any]:
        """The settings that inference, which is always in fp32, depends on."""
        return self.model_dump(include={"device", "threads"})

    def of_finetuning(self) -> dict[str, Any]:
        """Return the settings on which the result of a fine-tuning depends; later ones count unless at their defaults,
        so that earlier results stay valid."""
        later = self.model_dump(exclude_defaults=True, exclude=_OF_ONE_PROCESS | _WITHOUT_EFFECT)
        return self.of_one_process() | later | ({"processes": self.processes} if self.processes > 1 else {})
