"""One training in several processes of torch.distributed, with the numbers of one process.

Each process calculates its share of every batch. A network's loss is taken over the logits and masks of all shares,
for many losses are no mean over images; BatchNorm has the statistics of all shares; gradients are added up.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.batches.loader import WHOLE, Share
from bench.errors import BrokenGroupError, ProcessError, RequestError
from bench.models.network import Batch, Loss, Segmenter
from bench.store.files import first_line

T = TypeVar("T")

GRACE = timedelta(seconds=60)
"""Time within which an error that all processes run into has reached all of them."""

PATIENCE = timedelta(days=7)
"""Time that processes wait while the first one evaluates, saves, or runs what needs no training."""

RANK_SEEDS = 0x9E3779B97F4A7C15
"""Distance of two processes' seeds: an odd number far from the distances between epochs and between seeds."""


class Alone:
    """A training by this process alone, which shares nothing.

    Attributes:
        share: the part of every batch that this process calculates.
        is_first: whether this process evaluates, writes and reports.
    """

    share: Share = WHOLE
    is_first: bool = True

    def check_batch(self, batch: int) -> None:
        """Check that a batch of that many images has one for each process.

        Raises:
            RequestError: when it has not.
        """

    def prepare(self, network: Segmenter) -> None:
        """Make the network's layers ready to share their statistics."""

    def seed(self, seed: int) -> int:
        """The seed of this process's dropout."""
        return seed

    def agree(self, network: Segmenter, epoch: int) -> None:
        """Check that all processes go on after the same epoch.

        Raises:
            RequestError: when they do not.
        """

    def training_loss(self, network: Segmenter, batch: Batch, loss: Loss, *, epoch: int, images: int) -> Tensor:
        """The part of the scalar to minimise that comes from this process's share of a batch of `images`."""
        return network.training_loss(batch, loss, epoch=epoch)

    def total(self, loss: Tensor) -> Tensor:
        """The sum of all processes' parts, without gradient."""
        return loss.detach()

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace gradients by their sums over all processes."""

    def epoch_ended(self, network: Segmenter, *, improved: bool) -> None:
        """Tell the network, and hand what it keeps of this process's images to all others."""
        network.epoch_ended(improved=improved)

    def first(self, make: Callable[[], T]) -> T:
        """The outcome of a function that the first process alone calls while the others wait.

        Raises:
            ProcessError: in the others, when it fails there.
        """
        return make()

    def told_by_first(self, said: str) -> str:
        """The text that the first process says, for which the others wait.

        Raises:
            BrokenGroupError: when another process ended.
        """
        return said

    def settle(self, error: Exception | SystemExit) -> None:
        """Return if an error came up in all processes.

        Raises:
            BrokenGroupError: if it came up in this one alone, or because another one ended.
        """


class Ranks(Alone):
    """A training that this process shares with the others of torch.distributed's default group."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self.share = Share(self.rank, self.count)
        self.is_first = self.rank == 0
        self._brief, self._patient = control_groups(dist.group.WORLD)
        self._norms: list[_SharedBatchNorm] = []
        self._known: Any = {}

    def check_batch(self, batch: int) -> None:
        if batch < self.count:
            raise RequestError(
                f"recipe.batch is {batch}, expected at least {self.count}, an image for each process; start fewer "
                "processes or set recipe.batch"
            )

    def prepare(self, network: Segmenter) -> None:
        self._norms = share_statistics(network)

    def seed(self, seed: int) -> int:
        return (seed + self.rank * RANK_SEEDS) % 2**63

    def agree(self, network: Segmenter, epoch: int) -> None:
        epochs = self._from_all(epoch)
        if len(set(epochs)) > 1:
            found = ", ".join(map(str, epochs))
            raise RequestError(f"{self.count} processes go on after epochs {found}; expected one folder that all see")
        self._known = copy.deepcopy(network.resume_state())

    def training_loss(self, network: Segmenter, batch: Batch, loss: Loss, *, epoch: int, images: int) -> Tensor:
        counts = self.share.counts(images)
        own = counts[self.rank]
        is_split = own < images
        for norm in self._norms:
            norm.shares = is_split
        if not is_split:
            return network.training_loss(batch, loss, epoch=epoch) / self.count
        # Terms that a network adds beside `loss` are means over its images: their parts weigh as many as they are.
        weight = own / images

        def over_all(logits: Tensor, mask: Tensor) -> Tensor:
            if len(logits) != own:
                raise RequestError(
                    f"{type(network).__name__}: took a loss of {len(logits)} of {own} images, expected all of its "
                    "batch; train it in one process"
                )
            shared: Tensor = _Gathered.apply(logits, counts, self.rank, 1 / weight)  # type: ignore[no-untyped-call]
            return loss(shared, gathered(mask, counts))

        return network.training_loss(batch, over_all, epoch=epoch) * weight

    def total(self, loss: Tensor) -> Tensor:
        value = loss.detach().clone()
        dist.all_reduce(value)
        return value

    def sum_gradients(self, network: nn.Module) -> None:
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])  # one message in place of hundreds
        dist.all_reduce(flat)
        sums = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, sums, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def epoch_ended(self, network: Segmenter, *, improved: bool) -> None:
        network.epoch_ended(improved=improved)
        state = network.resume_state()
        changes = self._from_all(changed(self._known, state))
        if any(part for rank, part in enumerate(changes) if rank != self.rank):
            for part in changes:
                state = updated(state, part)
            network.load_resume_state(on_device(state, next(network.parameters()).device))
        self._known = copy.deepcopy(network.resume_state())

    def first(self, make: Callable[[], T]) -> T:
        outcome: list[Any] = [None, ""]
        failure: Exception | None = None
        if self.is_first:
            try:
                outcome[0] = make()
            except Exception as error:
                failure = error
                outcome[1] = f"{type(error).__name__}: {first_line(error)}"
        dist.broadcast_object_list(outcome, src=0, group=self._patient)
        if failure is not None:
            raise failure
        if outcome[1]:
            raise ProcessError(f"process 0 of {self.count} failed: {outcome[1]}")
        made: T = outcome[0]
        return made

    def told_by_first(self, said: str) -> str:
        heard = [said]
        try:
            dist.broadcast_object_list(heard, src=0, group=self._patient)
        except Exception as error:
            raise BrokenGroupError(self._lone(error), own=False) from error
        return heard[0]

    def settle(self, error: Exception | SystemExit) -> None:
        try:
            dist.all_gather_object([None] * self.count, None, group=self._brief)
        except Exception:
            raise BrokenGroupError(self._lone(error), own=not is_of_group(error)) from error

    def _lone(self, error: Exception | SystemExit) -> str:
        if is_of_group(error):
            return "another process of the training ended"
        said = f"exit code {error.code}" if isinstance(error, SystemExit) else first_line(error)
        return f"process {self.rank} of {self.count} failed: {type(error).__name__}: {said}"

    def _from_all(self, mine: T) -> list[T]:
        """One object of each process, in their order."""
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, mine, group=self._patient)
        return found


def ranks() -> Alone:
    """The processes that share this process's trainings: those of torch.distributed's default group, if there is one.

    All of them have to call `train` with the same arguments.
    """
    return Ranks() if process_count() > 1 else Alone()


@contextmanager
def failing_together() -> Iterator[None]:
    """Let no error in one process of a training leave the others waiting.

    Raises:
        BrokenGroupError: in place of an error of this process alone, or when another one ended.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        ranks().settle(error)
        raise


def process_count() -> int:
    """The number of processes of torch.distributed's default group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@cache
def control_groups(world: object) -> tuple[Any, Any]:
    """Two groups of all processes for messages between CPUs: one that soon gives up, one that waits for long."""
    patient = dist.new_group(backend="gloo", timeout=PATIENCE)
    dist.barrier(group=patient)  # for a new group's processes wait for one another no longer than its timeout
    return dist.new_group(backend="gloo", timeout=GRACE), patient


def is_of_group(error: BaseException) -> bool:
    """True for an error of the communication between processes, which another process's end causes."""
    known = isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))
    return known and isinstance(error, RuntimeError)


def gathered(own: Tensor, counts: Sequence[int]) -> Tensor:
    """All processes' rows (B, ...), in their order.

    Args:
        own: this process's rows.
        counts: the rows of each process.
    """
    padded = own.new_zeros((max(counts), *own.shape[1:]))  # a collective takes equal shapes
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


class _Gathered(torch.autograd.Function):
    """`gathered`, whose gradient is that of this process's rows times a factor.

    Every process takes the same loss of the same rows, so that its own rows' gradient needs no message.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: Sequence[int], rank: int, factor: float) -> Tensor:
        ctx.rows, ctx.factor = slice(sum(counts[:rank]), sum(counts[: rank + 1])), factor
        return gathered(own, counts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad[ctx.rows] * ctx.factor, None, None, None


class _SharedBatchNorm(nn.SyncBatchNorm):
    """A BatchNorm layer that takes its statistics over all processes while `shares` is set and it is trained.

    Torch's layer does so on a GPU alone; elsewhere the statistics are combined here. Class and state are otherwise
    those of the plain layer.
    """

    shares = False
    process_group = None

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.shares):
            plain: Tensor = super(nn.SyncBatchNorm, self).forward(x)
            return plain
        if x.device.type == "cuda":
            return super().forward(x)
        y: Tensor
        y, mean, variance = _Normalised.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        if self.track_running_stats:
            self._track(mean, variance)
        return y

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - share).add_(mean, alpha=share)
        self.running_var.mul_(1 - share).add_(variance, alpha=share)


class SharedBatchNorm1d(_SharedBatchNorm, nn.BatchNorm1d):
    """BatchNorm1d over all processes."""


class SharedBatchNorm2d(_SharedBatchNorm, nn.BatchNorm2d):
    """BatchNorm2d over all processes."""


class SharedBatchNorm3d(_SharedBatchNorm, nn.BatchNorm3d):
    """BatchNorm3d over all processes."""


SHARED: Mapping[type[nn.Module], type[_SharedBatchNorm]] = {
    nn.BatchNorm1d: SharedBatchNorm1d,
    nn.BatchNorm2d: SharedBatchNorm2d,
    nn.BatchNorm3d: SharedBatchNorm3d,
}


def share_statistics(network: nn.Module) -> list[_SharedBatchNorm]:
    """Give the network's BatchNorm layers, in place, their statistics over all processes; return these layers.

    Raises:
        RequestError: for a layer of a class that is derived from torch's.
    """
    shared = []
    for name, module in network.named_modules():
        kind = getattr(module, "equal_to", type(module))  # of a faster form, the layer of torch that it equals
        if kind in SHARED:
            module.__class__ = SHARED[kind]
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, _SharedBatchNorm):
            raise RequestError(
                f"{type(network).__name__}.{name} is a {type(module).__name__}, expected a plain BatchNorm, whose "
                "statistics several processes can share; train it in one process"
            )
        if isinstance(module, _SharedBatchNorm):
            shared.append(module)
    return shared


class _Normalised(torch.autograd.Function):
    """Batch normalisation (B, C, ...) over the rows of all processes, with mean and unbiased variance (C,)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.axes = [axis for axis in range(x.ndim) if axis != 1]
        kind = torch.promote_types(x.dtype, torch.float32)
        variance, mean = torch.var_mean(x.to(kind), ctx.axes, correction=0)
        own = torch.cat([mean, variance, mean.new_tensor([x.numel() // x.shape[1]])]).double()
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        means, variances, counts = torch.split(torch.stack(parts), [len(mean), len(mean), 1], dim=1)
        ctx.total = counts.sum().item()
        mean = (counts * means).sum(0) / ctx.total
        # Within the processes plus between them, which loses no digits where the mean is far from zero.
        variance = (counts * (variances + (means - mean).square())).sum(0) / ctx.total
        y = F.batch_norm(x, mean.to(kind), variance.to(kind), weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x, weight, mean.to(kind), (variance + eps).rsqrt().to(kind))
        unbiased = (variance * (ctx.total / (ctx.total - 1))).to(kind)
        mean = mean.to(kind)
        ctx.mark_non_differentiable(mean, unbiased)
        return y, mean, unbiased

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *unused: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x, weight, mean, scale = ctx.saved_tensors
        shape = [1, -1, *[1] * (x.ndim - 2)]
        slope = grad.to(mean.dtype)
        normalised = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        own = torch.stack([slope.sum(ctx.axes), (slope * normalised).sum(ctx.axes)])  # (2, C)
        sums = own.clone()
        dist.all_reduce(sums)
        level, tilt = (sums / ctx.total).view(2, *shape).unbind()
        factor = scale if weight is None else scale * weight
        of_x = (slope - level - normalised * tilt) * factor.view(shape)
        of_bias, of_weight = own if weight is not None else (None, None)
        return of_x.to(x.dtype), of_weight, of_bias, None


def changed(before: Any, after: Any) -> Any:
    """The entries of nested dictionaries that are new or other than before; None if none is.

    >>> changed({"masks": {1: "a", 2: "b"}}, {"masks": {1: "a", 2: "c", 3: "d"}})
    {'masks': {2: 'c', 3: 'd'}}
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        pairs = ((key, changed(before.get(key), value)) for key, value in after.items())
        return {key: value for key, value in pairs if value is not None} or None
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        now = after.cpu()
        return None if before.dtype == now.dtype and torch.equal(before.cpu(), now) else now
    if isinstance(after, Tensor):
        return after.cpu()
    return None if type(before) is type(after) and before == after else after


def updated(state: Any, changes: Any) -> Any:
    """Nested dictionaries with entries replaced by those of `changed`."""
    if changes is None:
        return state
    if not (isinstance(state, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**state, **{key: updated(state.get(key), value) for key, value in changes.items()}}


def on_device(state: Any, device: torch.device) -> Any:
    """Nested dictionaries with their tensors on a device, as a state that is read from its file."""
    if isinstance(state, Mapping):
        return {key: on_device(value, device) for key, value in state.items()}
    return state.to(device) if isinstance(state, Tensor) else state
