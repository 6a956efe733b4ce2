"""A card that is not there: tensors that say they are on CUDA and calculate on the CPU.

As on a card, tensors of the host do not mix with them, a stream of random numbers belongs to one
device, and whatever lets the host wait for the card is noted.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype as by_device_and_type
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from toy_graphs import OperationRecorder, asks

import choreo.agent.acting
import choreo.learning.modes

CUDA = torch.device("cuda", 0)
MAY_MIX = ("__get__", "__set__", "copy_", "_has_compatible_shallow_copy_type")
waits: list[str] = []
"""What the host has waited for; tests empty it."""


class OnCard(Tensor):
    """A tensor of the card; `inside` are its values."""

    inside: Tensor
    device = CUDA  # pyright: ignore[reportAssignmentType]
    is_cuda, is_cpu = True, False  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls: type["OnCard"], inside: Tensor) -> "OnCard":
        made = Tensor._make_wrapper_subclass(
            cls,
            inside.size(),
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=inside.device,
        )
        made.inside = inside
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.index.Tensor:
            args = args[0], [_index(i) for i in args[1]]
        for leaf in tree_leaves((args, kwargs)):  # autograd makes scalars where it believes to be
            foreign = isinstance(leaf, Tensor) and not isinstance(leaf, OnCard) and leaf.dim() > 0
            assert not foreign, f"{func} got a tensor of the host, {tuple(leaf.shape)}"
        if asks(func, args):
            waits.append(str(func))
        run, inside = func, tree_map(of_host, args)
        if func is torch.ops.aten.mm.dtype:  # which there is on cards alone
            run, inside = torch.ops.aten.mm.default, [x.to(args[2]) for x in inside[:2]]
        found = run(*inside, **tree_map(of_host, kwargs))
        wrapped = tree_map(lambda x: OnCard(x) if isinstance(x, Tensor) else x, found)
        return return_and_correct_aliasing(func, args, kwargs, wrapped)

    def __repr__(self, **_: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"OnCard({self.inside})"


def of_host(x: Any) -> Any:
    """The values of a tensor of the card; anything else as it is."""
    return x.inside if isinstance(x, OnCard) else x


def _index(index: Tensor | None) -> Tensor | None:
    """Indices may lie on the host, from where CUDA fetches them."""
    if index is None or isinstance(index, OnCard):
        return index
    waits.append("indices of the host")
    return OnCard(index)


class Stream(torch.Generator):
    """A stream of random numbers that says where it is."""

    place: torch.device

    def __new__(cls, device: Any = "cpu") -> "Stream":
        made = super().__new__(cls, "cpu")  # pyright: ignore[reportCallIssue]
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.place


class Event:
    """Has come as soon as it is recorded, as all that this card does."""

    def record(self) -> None:
        waits.append("event recorded")

    def synchronize(self) -> None:
        waits.append("event awaited")


class Card(TorchFunctionMode):
    """Gives what is asked of "cuda" while it is entered."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if isinstance(func, torch._ops.OpOverload):  # what stands in for a graph repeats it
            return func(*args, **kwargs)
        own = getattr(self, f"_{name}", None)
        if own is not None:
            return own(func, *args, **kwargs)
        if kwargs.pop("pin_memory", False):
            return _pinned(func(*args, **kwargs))
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name not in MAY_MIX:
            places = {x.device.type for x in tensors}
            assert len(places) < 2, f"{name} mixes tensors of host and card"
        place = torch.device(kwargs.get("device") or (tensors[0].device if tensors else "cpu"))
        stream = kwargs.get("generator")
        assert stream is None or stream.device.type == place.type, f"{name} takes a foreign stream"
        if "device" not in kwargs or place.type != "cuda":
            return func(*args, **kwargs)
        return OnCard(func(*tree_map(of_host, args), **kwargs | {"device": "cpu"}))

    def _as_tensor(self, func: Any, data: Any, **kwargs: Any) -> Tensor:
        place = torch.device(kwargs.pop("device", None) or "cpu")
        made = data if isinstance(data, Tensor) else func(data, **kwargs)
        return self._to(func, made, place)

    _tensor = _as_tensor

    def _to(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        non_blocking = kwargs.pop("non_blocking", any(a is True for a in args))
        given = [*args, *kwargs.values()]
        places = [torch.device(a) for a in given if isinstance(a, str | torch.device)]
        with torch._C.DisableTorchFunction():
            for dtype in (a for a in given if isinstance(a, torch.dtype)):
                tensor = Tensor.to(tensor, dtype)
        if not places or places[0].type == tensor.device.type:
            return tensor
        if not (non_blocking and getattr(tensor, "pinned", False)):
            waits.append(f"copied to {places[0].type}")
        inside = of_host(tensor.detach()).clone()
        return OnCard(inside) if places[0].type == "cuda" else inside

    def _cpu(self, func: Any, tensor: Tensor) -> Tensor:
        return self._to(func, tensor, "cpu")

    def _tolist(self, func: Any, tensor: Tensor) -> Any:
        return func(self._cpu(func, tensor))

    def _numpy(self, func: Any, tensor: Tensor) -> Any:
        assert not isinstance(tensor, OnCard), "a tensor of the card is no array"
        return func(tensor)

    def _pin_memory(self, func: Any, tensor: Tensor) -> Tensor:
        return _pinned(tensor.clone())

    def _copy_(self, func: Any, target: Tensor, source: Tensor, non_blocking: bool = False) -> Any:
        host = [x for x in (target, source) if not isinstance(x, OnCard)]
        if len(host) != 1:
            return func(target, source)
        if not (non_blocking and getattr(host[0], "pinned", False)):
            waits.append("copied between host and card")
        func(of_host(target), of_host(source))
        return target


def _pinned(tensor: Tensor) -> Tensor:
    tensor.pinned = True  # pyright: ignore[reportAttributeAccessIssue]
    return tensor


@contextmanager
def a_card() -> Iterator[None]:
    """Let PyTorch see this card within, and recorded operations stand in for its graphs."""
    stand_ins: dict[str, Any] = {
        "is_available": lambda: True,
        "mem_get_info": lambda device=None: (10**9, 10**9),
        "synchronize": lambda device=None: None,
        "Event": Event,
        "get_device_name": lambda device=None: "a card",
        "max_memory_allocated": lambda device=None: 10**6,
        "reset_peak_memory_stats": lambda device=None: None,
    }
    with pytest.MonkeyPatch.context() as patch, Card():
        patch.setattr(torch, "Generator", Stream)
        for name, value in stand_ins.items():
            patch.setattr(torch.cuda, name, value)
        for name in ("torch.optim.optimizer", "torch.nn.utils.clip_grad"):
            patch.setattr(sys.modules[name], "_group_tensors_by_device_and_dtype", _grouped)
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
        for module in (choreo.learning.modes, choreo.agent.acting):
            patch.setattr(module, "CudaRecorder", lambda device, stream: OperationRecorder(stream))
        waits.clear()
        yield


def _grouped(lists: Any, with_indices: bool = False) -> Any:
    """By the device that tensors say they are on."""
    on_card = any(isinstance(x, OnCard) for x in tree_leaves(lists))
    groups = by_device_and_type(lists, with_indices)
    return {(CUDA if on_card else place, kind): g for (place, kind), g in groups.items()}
