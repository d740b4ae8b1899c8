"""The processes that fine-tune one model together, and checks that they are the ones the study asks for.

Most wrong launches do not fail on their own: every process trains its own model, or only one process trains. So every
process compares its environment with `launch`, and stops with a one-line error if they differ.
"""

import copy
import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from graft.compute.hardware import device_of, precision_of
from graft.config.launch import Launch
from graft.encoders.inference import Batch
from graft.encoders.network import ATTENTION_ON, Classifier
from graft.encoders.packing import packed

T = TypeVar("T")
# mallopt's parameter numbers, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_STATE = "zero"  # DeepSpeed's folder inside a checkpoint


class World:
    """One of the processes that fine-tune a model, and its collective operations.

    `clip`: largest norm of the gradient. Raises ValueError if the processes are not those of `launch`.
    """

    _raw: Any
    model: Any  # DeepSpeed's engine, which has no types, or a module

    def __init__(self, launch: Launch, clip: float, log_folder: Path) -> None:
        self.launch, self.clip = launch, clip
        self.precision, self.device_kind = precision_of(launch), device_of(launch)
        self.attention = ATTENTION_ON[self.device_kind] if launch.attention == "auto" else launch.attention
        _check_environment(launch)
        on_cpu = self.device_kind == "cpu"
        if on_cpu:
            _keep_memory()
        self.backend = "gloo" if on_cpu else "nccl"
        handlers = [InitProcessGroupKwargs(backend=self.backend)] if launch.distributed else []
        plugin = None
        if launch.stage:
            from accelerate import DeepSpeedPlugin  # deepspeed takes seconds to import

            plugin = DeepSpeedPlugin(hf_ds_config=deepspeed_config(launch, self.precision, clip))
        self.accelerator = Accelerator(
            mixed_precision="bf16" if self.precision == "bf16" and not launch.stage else "no",
            cpu=on_cpu and not launch.stage,
            deepspeed_plugin=plugin,
            kwargs_handlers=handlers,
            log_with=list(launch.trackers) or None,
            project_dir=log_folder if launch.trackers else None,
        )
        self._check_processes()
        found = {str(tracker) for tracker in self.accelerator.log_with}
        # accelerate silently drops trackers that are not installed.
        if missing := sorted(set(launch.trackers) - found):
            raise ValueError(f"launch.trackers: {missing[0]} is not installed; pip install it, or leave it out")
        self.size, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.device = self.accelerator.device

    @property
    def main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Take over a model and its optimizer; raises ValueError if DeepSpeed does not run as configured."""
        self._raw = model
        self._whole = copy.deepcopy(model) if self.launch.stage == 3 else None
        if not self.launch.stage:
            self.model, self.optimizer = model.to(self.device), optimizer
            if self.launch.distributed:
                self.model = DistributedDataParallel(model)
            return
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        # Remove accelerate's wrapper of `forward`, which would apply autocast to scoring on `select` as well.
        # (accelerate's own function for this imports deepspeed, which takes seconds.)
        vars(model).pop("forward", None)
        if type(self.model).__name__ != "DeepSpeedEngine":
            raise ValueError(f"launch: DeepSpeed should wrap the model, but it is a {type(self.model).__name__}")
        if (stage := self.model.zero_optimization_stage()) != self.launch.stage:
            raise ValueError(f"launch: DeepSpeed runs ZeRO {stage}, but ZeRO {self.launch.stage} was requested")

    @property
    def records_graphs(self) -> bool:
        """Whether passes run as CUDA graphs: for a classifier, whose kernels depend only on the batch's shape, in a
        single process that need not save memory."""
        asked = self.launch.cuda_graphs and self.device_kind == "cuda" and not self.launch.pass_tokens
        return asked and not self.launch.distributed and isinstance(self._raw, Classifier)

    @property
    def packs(self) -> bool:
        """Whether batches run without padding: for a classifier on a CPU with eager attention."""
        return self.launch.packs_on(self.device_kind) and isinstance(self._raw, Classifier)

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """Return the model's inputs for a padded batch."""
        return packed(batch, self._raw.shape.heads) if self.packs else batch

    def whole(self) -> nn.Module:
        """Return the unwrapped model with all its weights, for this process to run and save on its own."""
        if self._whole is None:
            return self._raw
        import deepspeed  # takes seconds

        with deepspeed.zero.GatheredParameters(list(self._raw.parameters())):
            self._whole.load_state_dict(self._raw.state_dict())
        return self._whole.to(self.device)

    def exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Context for a forward and a backward pass: gradients are exchanged in the `last` one of a step."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            return self.model.no_sync()
        return nullcontext()

    def backward(self, loss: Tensor, last: bool) -> None:
        """Accumulate the gradients of `loss`, whose mean over processes is minimised."""
        if self.launch.stage:
            self.model.set_gradient_accumulation_boundary(last)
            self.model.backward(loss)
        else:
            loss.backward()

    def step(self) -> None:
        """Clip the gradients, update the weights, clear the gradients."""
        if self.launch.stage:
            self.model.step()
            return
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        # A recorded graph accumulates into the gradient tensors it was recorded with.
        self.optimizer.zero_grad(set_to_none=not self.records_graphs)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over processes, in place and without waiting for a GPU."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Gather each process's value, in rank order."""
        return gather_object([value]) if self.size > 1 else [value]

    def of_main(self, value: T) -> T:
        """Return the first process's value."""
        return self.gather(value)[0]

    def save_state(self, folder: Path) -> None:
        """Write weights and optimizer state, or this process's shard of them."""
        if self.launch.stage:
            self.model.save_checkpoint(str(folder), tag=_STATE)
        elif self.main:
            torch.save({"model": self._raw.state_dict(), "optimizer": self.optimizer.state_dict()}, folder / "state.pt")

    def load_state(self, folder: Path) -> None:
        """Load the state that `save_state` wrote."""
        if self.launch.stage:
            self.model.load_checkpoint(str(folder), tag=_STATE)
            return
        state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        self._raw.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    @contextmanager
    def training_kernels(self) -> Iterator[None]:
        """Context in which fp32 matrix products may use TF32 on a GPU, if `launch.tf32` is set."""
        before = torch.get_float32_matmul_precision()
        if self.device_kind == "cuda":
            torch.set_float32_matmul_precision("high" if self.launch.tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def effective(self) -> dict[str, Any]:
        """Return the settings in effect, for the records."""
        return {
            "precision": self.precision,
            "processes": self.size,
            "strategy": self.launch.strategy if self.launch.distributed else "one process",
            "tf32": self.launch.tf32 and self.device_kind == "cuda",
            "attention": self.attention,
            "cuda_graphs": self.records_graphs,
            "packed": self.packs,
            "pass_tokens": self.launch.pass_tokens,
        }

    def _check_processes(self) -> None:
        found = self.accelerator
        if found.num_processes != self.launch.processes:
            raise ValueError(_wrong(self.launch, f"accelerate sees {found.num_processes}"))
        of_ddp = DistributedType.MULTI_CPU if self.device_kind == "cpu" else DistributedType.MULTI_GPU
        kind = of_ddp if self.launch.distributed else DistributedType.NO
        kind = DistributedType.DEEPSPEED if self.launch.stage else kind
        if found.distributed_type != kind:
            given = found.distributed_type.value
            raise ValueError(f"launch: accelerate runs processes of type {given}, not {kind.value}")
        if self.launch.distributed and (backend := dist.get_backend()) != self.backend:
            raise ValueError(f"launch: processes use {backend}, but on {self.device_kind} {self.backend} is needed")


def _keep_memory() -> None:
    """Make glibc keep freed memory for reuse instead of returning large blocks to the system.

    Getting the embeddings' gradients page by page at every step takes 7% of a fine-tuning.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    # glibc before 2.35 takes at most 32 MB; a larger value is refused and leaves the threshold at 128 KB for good.
    if not mallopt(_MMAP_THRESHOLD, 1 << 30):
        mallopt(_MMAP_THRESHOLD, 1 << 25)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def deepspeed_config(launch: Launch, precision: str, clip: float) -> dict[str, Any]:
    """DeepSpeed's config for a launch: weights stay fp32, and Graft itself counts the passes of a step."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": clip,
        # In elements; DeepSpeed's default of 5e8 allocates 2 GB of buffers per process, more than such a model.
        "zero_optimization": {"stage": launch.stage, "allgather_bucket_size": 5e7, "reduce_bucket_size": 5e7},
        # We bring our own AdamW.
        "zero_allow_untested_optimizer": True,
        "torch_autocast": {"enabled": precision == "bf16", "dtype": "bfloat16"},
        "steps_per_print": 10**9,
    }


def _check_environment(launch: Launch) -> None:
    """Raise ValueError if the environment of this process does not match `launch`."""
    variables = os.environ
    started = int(variables.get("WORLD_SIZE", 1))
    if started != launch.processes:
        raise ValueError(_wrong(launch, f"{started} were started" if started > 1 else "only one was started"))
    if launch.distributed and "LOCAL_RANK" not in variables:
        raise ValueError(_wrong(launch, "this one was not started by a launcher"))
    if device_of(launch) == "cuda" and (launch.gpus or 1) > torch.cuda.device_count():
        raise ValueError(f"launch.gpus: {launch.gpus} were requested, but torch sees {torch.cuda.device_count()} here")
    dropped = variables.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    if launch.stage and dropped:
        raise ValueError("launch: with ACCELERATE_USE_CPU set, accelerate silently skips DeepSpeed; unset it")
    if launch.stage and device_of(launch) == "cpu" and variables.get("DS_ACCELERATOR") != "cpu":
        raise ValueError("launch: on a CPU DeepSpeed needs DS_ACCELERATOR=cpu, which graft.study.launcher sets")


def _wrong(launch: Launch, found: str) -> str:
    asked = f"{launch.processes} processes ({launch.nodes} x {launch.gpus or 1}, {launch.strategy})"
    return f"launch: the study needs {asked}, but {found}; start them with python -m graft.study.launcher MODULE ..."
