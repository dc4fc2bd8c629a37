"""One recipe on one device: its network, its whole step, and that step as CUDA graphs where there are any."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .losses import recipe_loss
from .network import CountedDropout, Network, VitNetwork, build
from .parts import Store
from .recipe import VIT, Recipe
from .schedule import Schedule, Variant, variants_of

_FOREACH: Any = torch  # its functions on lists of tensors have no types

_LOG = logging.getLogger(__name__)
_CHUNK = 32  # steps that are given to the device between two looks at the other jobs
_SCORED = 128
_GREY = (0.299, 0.587, 0.114)

Waiting = Iterator[Any]  # CUDA events to wait for, or None


@dataclass
class Device:
    """Where and how to compute."""

    device: torch.device
    graphs: bool = False
    amp: bool = False
    channels_last: bool = True
    benchmark: bool = False  # whether cuDNN measures its algorithms before a step is captured; never elsewhere

    @property
    def is_cuda(self) -> bool:
        """Whether there are streams and graphs."""
        return self.device.type == "cuda"

    def half(self, dtype: torch.dtype = torch.bfloat16) -> Any:
        """Mixed precision as a context; weights are cast anew each time, as captured graphs need it."""
        if not self.amp:
            return nullcontext()
        return torch.autocast(self.device.type, dtype, cache_enabled=False)

    def on(self, stream: Any) -> Any:
        """Work in a stream, or simply work."""
        return torch.cuda.stream(stream) if stream is not None else nullcontext()


def floats(network: nn.Module) -> list[Tensor]:
    """Its weights and averages of batch normalisation, without what counts batches, in the state dict's order."""
    return [value.detach() for value in network.state_dict().values() if value.is_floating_point()]


class Trainer:
    """Trains a recipe, job after job, from the same start; a captured step serves them all."""

    def __init__(
        self, recipe: Recipe, store: Store, how: Device, weights: dict[str, dict[str, Tensor]], stream: Any = None
    ) -> None:
        self.recipe, self.store, self.how, self.stream = recipe, store, how, stream
        with how.on(stream):
            layout = torch.channels_last if how.channels_last else torch.contiguous_format
            self.network: Network | VitNetwork = build(recipe, weights).to(how.device).to(memory_format=layout)
            self.network.channels_last = how.channels_last
            self.offset = nn.Parameter(torch.zeros(len(store.names), device=how.device))
            self.ema = deepcopy(self.network).eval().requires_grad_(False)
            self.kept, self.values = floats(self.ema), floats(self.network)
            self.start = [value.clone() for value in self.values]
            self.pulled = list(self.network.trunk.parameters())
            own = {id(weight) for weight in self.pulled}
            self.heads = [weight for weight in self.network.parameters() if id(weight) not in own]
            named = {
                id(value): place for place, value in enumerate(self.network.trunk.state_dict(keep_vars=True).values())
            }
            begun = [value.detach().clone() for value in self.network.trunk.state_dict().values()]
            self.origin = [begun[named[id(weight)]] for weight in self.pulled]
            self.key = torch.zeros((), dtype=torch.int64, device=how.device)
            for part in self.network.modules():
                if isinstance(part, CountedDropout):
                    part.key = self.key
            self.counter = torch.zeros(1, dtype=torch.int64, device=how.device)
            self.loss = torch.zeros((), device=how.device)
            self.optimizer = self._optimizer()
        self.plan: dict[str, Tensor] = {}
        self.lr_here: np.ndarray = np.zeros(1, np.float32)
        self.graphs: dict[Variant, Any] = {}

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        groups: list[dict[str, Any]] = [
            {"params": self.pulled, "share": recipe.trunk_lr, "weight_decay": recipe.weight_decay},
            {"params": self.heads, "share": 1.0, "weight_decay": recipe.head_decay},
            {"params": [self.offset], "share": 1.0, "weight_decay": 0.0},
        ]
        if not self.how.is_cuda:
            return torch.optim.AdamW(groups, lr=recipe.lr)
        for group in groups:
            group["lr"] = torch.tensor(recipe.lr, device=self.how.device)
        return torch.optim.AdamW(groups, lr=recipe.lr, capturable=True, fused=True)

    def prepare(self, schedule: Schedule, longest: int) -> None:
        """Make room for schedules of up to `longest` steps shaped like this one, and capture what it needs.

        Where capturing fails the steps run one by one; what failed is logged.
        """
        with self.how.on(self.stream):
            for name, array in schedule.arrays.items():
                empty = np.zeros((longest, *array.shape[1:]), array.dtype)
                self.plan[name] = torch.from_numpy(empty).to(self.how.device)
            self.load(schedule, 0)
            if self.how.graphs:
                torch.backends.cudnn.benchmark = self.how.benchmark
                try:
                    self._capture()
                except Exception as error:  # whatever it is, there is another way
                    _LOG.warning("%s: not captured, goes step by step: %s", self.recipe.name, str(error)[:300])
                    self.graphs = {}
                finally:
                    torch.backends.cudnn.benchmark = False

    def _capture(self) -> None:
        for variant in variants_of(self.recipe):
            self.warm(variant)
            self.stream.synchronize()
            self.optimizer.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            gc.collect()
            gc.disable()  # what it frees might be another graph
            try:
                with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                    self._step(variant, 0)
            finally:
                gc.enable()
            self.graphs[variant] = graph

    def warm(self, variant: Variant, times: int = 3) -> None:
        """Take a few steps, so that what is made once is made before a capture; `load` undoes them."""
        self.plan["top"].zero_()  # what was drawn for larger frames would lie outside of smaller ones
        self.plan["left"].zero_()
        for _ in range(times):
            self.counter.zero_()
            self._step(variant, 0)

    def load(self, schedule: Schedule, seed: int) -> None:
        """Go back to the start, with another schedule."""
        self.lr_here = schedule.arrays["lr"]
        for name, array in schedule.arrays.items():
            self.plan[name][: len(array)].copy_(torch.from_numpy(array))
        with torch.no_grad():
            _FOREACH._foreach_copy_([*self.values, *self.kept], [*self.start, *self.start])
            self.offset.zero_()
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()
        self.counter.zero_()
        self.key.fill_(seed * 1_000_003)
        self.loss.zero_()

    def run(self, schedule: Schedule, seed: int) -> Waiting:
        """Train by a schedule, giving way every few steps; what was learned is in `ema` afterwards."""
        with self.how.on(self.stream):
            self.load(schedule, seed)
        pending = None
        for begin in range(0, len(schedule), _CHUNK):
            with self.how.on(self.stream):
                for step in range(begin, min(begin + _CHUNK, len(schedule))):
                    variant = schedule.variants[step]
                    if graph := self.graphs.get(variant):
                        graph.replay()
                    else:
                        self._step(variant, step)
                event = self._event()
            yield pending  # one chunk ahead, so that the device never waits for the others
            pending = event
        yield pending

    def _event(self) -> Any:
        if not self.how.is_cuda:
            return None
        event = torch.cuda.Event()
        event.record()
        return event

    def _row(self, name: str) -> Tensor:
        return self.plan[name].index_select(0, self.counter).squeeze(0)

    def _step(self, variant: Variant, step: int) -> None:
        """The whole step, all of it on the device (`step` alone tells a CPU's optimizer its rate)."""
        recipe, network = self.recipe, self.network
        network.train(True)
        if variant.frozen:
            network.trunk.eval()
        index = self._row("index")
        frames = self._cut(variant, index)
        if recipe.mixstyle:
            network.style = (self._row("partner"), self._row("keep"))
        self.optimizer.zero_grad(set_to_none=True)
        with self.how.half():
            if variant.frozen:
                with torch.no_grad():
                    levels = network.forward_features(frames)
            else:
                levels = network.forward_features(frames)
            (score,) = network.forward_heads(levels)
        mos, collection = (held.index_select(0, index) for held in (self.store.mos, self.store.collections))
        loss = recipe_loss(recipe, score, mos, collection, len(self.store.names), self.offset)
        loss.backward()
        learning = [*([] if variant.frozen else self.pulled), *self.heads, self.offset]
        if recipe.clip:
            nn.utils.clip_grad_norm_(learning, recipe.clip)
        rate = self._row("lr")
        for group in self.optimizer.param_groups:
            if self.how.is_cuda:
                group["lr"].copy_(rate * group["share"])
            else:
                group["lr"] = float(self.lr_here[step]) * group["share"]
        self.optimizer.step()
        with torch.no_grad():
            self.loss.copy_(loss.detach())
            if recipe.pull and not variant.frozen:
                self._move(self.pulled, self.origin, rate * recipe.trunk_lr * recipe.pull)
            self._move(self.kept, self.values, self._row("ema"))
            self.counter.add_(1)
            self.key.add_(1)

    def _move(self, moved: list[Any], towards: list[Tensor], share: Tensor) -> None:
        way = _FOREACH._foreach_sub(towards, moved)
        _FOREACH._foreach_mul_(way, share)
        _FOREACH._foreach_add_(moved, way)

    def _cut(self, variant: Variant, index: Tensor) -> Tensor:
        """The step's crops, uint8 `[B, crop, crop, 3]`, or float32 where their tone is changed."""
        along = torch.arange(variant.crop, device=index.device)
        mirrored = self._row("mirrored")[:, None].bool()
        rows = self._row("top")[:, None] + along
        columns = self._row("left")[:, None] + torch.where(mirrored, variant.crop - 1 - along, along)
        frames = self.store.frames[variant.frame][index[:, None, None], rows[:, :, None], columns[:, None, :]]
        if not (self.recipe.tone or self.recipe.grey):
            return frames
        light = (frames.float() / 255).clamp_min(1e-4) ** self._row("gamma")[:, None, None, None]
        light = light * self._row("gain")[:, None, None, :]
        red, green, blue = light.unbind(3)
        grey = (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[..., None]
        light = torch.where(self._row("grey")[:, None, None, None] > 0, grey, light)
        return 255 * light.clamp(0, 1)

    def score(self, network: nn.Module, places: np.ndarray, into: list[np.ndarray]) -> Waiting:
        """Scores float64 `[N]` of whole frames, put into a list in the end; gives way between batches."""
        scores: list[Tensor] = []
        with self.how.on(self.stream):
            filled = np.resize(places, -(-len(places) // _SCORED) * _SCORED) if self.how.is_cuda else places
            chosen = torch.from_numpy(filled).to(self.how.device)  # batches of one shape
        pending = None
        for begin in range(0, len(filled), _SCORED):
            # CUDA's half precision keeps three bits more than bfloat16, and these networks stay within its range.
            with self.how.on(self.stream), torch.no_grad(), self.how.half(self._scoring()):
                part = chosen[begin : begin + _SCORED]
                scores.append(network(self.store.frames[self.recipe.frame].index_select(0, part)))
                event = self._event()
            yield pending
            pending = event
        yield pending
        with self.how.on(self.stream):
            into.append(torch.cat(scores)[: len(places)].double().cpu().numpy())

    def _scoring(self) -> torch.dtype:
        return torch.float16 if self.how.is_cuda and self.recipe.arch != VIT else torch.bfloat16

    def norms_anew(self, network: nn.Module, schedule: Schedule, batches: int = 8) -> Waiting:
        """Estimate the averages of batch normalisation anew, from training crops of a schedule."""
        norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
        if not norms or self.recipe.fixed_norms:
            return
        kept = [norm.momentum for norm in norms]
        with self.how.on(self.stream):
            for norm in norms:
                norm.reset_running_stats()
                norm.train()
            variant = Variant(self.recipe.frame, min(self.recipe.crop, self.recipe.frame), False)
            plan = {
                name: torch.from_numpy(schedule.arrays[name]).to(self.how.device) for name in ("index", "top", "left")
            }
            joined = {name: rows.reshape(-1)[: batches * _SCORED].split(_SCORED) for name, rows in plan.items()}
            along = torch.arange(variant.crop, device=self.how.device)
        room = variant.frame - variant.crop
        for number, (index, top, left) in enumerate(zip(*joined.values(), strict=True)):
            if len(index) < 2:
                continue
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # the plain mean over the batches, told without asking the device
            with self.how.on(self.stream), torch.no_grad(), self.how.half(self._scoring()):
                rows, columns = (place.clamp_max(room)[:, None] + along for place in (top, left))
                network(self.store.frames[variant.frame][index[:, None, None], rows[:, :, None], columns[:, None, :]])
                event = self._event()
            yield event
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
            norm.eval()
