"""The traced step as a file: ONNX, or PyTorch's own."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from choreo import native
from choreo.errors import UsageError
from choreo.export.step import PolicyStep

To = Literal["onnx", "torch"]
OPSETS = range(18, 24)  # 17 and older lack Split with num_outputs; newer ones few runtimes read
FILES: dict[To, str] = {"onnx": "policy.onnx", "torch": "policy.pt2"}
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def check_target(to: To, opset: int) -> None:
    """Refuse an opset that is not supported, and a missing library, before anything is done.

    Raises UsageError.
    """
    if to != "onnx":
        return
    if opset not in OPSETS:
        raise UsageError(
            f"--opset {opset} is not supported; give one from {OPSETS[0]} to {OPSETS[-1]}"
        )
    for name in LIBRARIES:
        need(name)


def need(name: str) -> Any:
    """A library of the extra `export`; raises UsageError where it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"this needs the Python package {name}, which is not installed. Install it with: "
            "pip install 'choreo[export]'"
        ) from error


def write_graph(step: PolicyStep, path: Path, to: To, opset: int) -> None:
    """Trace the step for any number of rows and write it to `path`."""
    with torch.no_grad(), native.plain(), _quiet():
        program = trace(step)
        if to == "torch":
            held = io.BytesIO()  # its own writer ends the process where a disk is full
            torch.export.save(program, held)
            path.write_bytes(held.getvalue())
            return
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=[port.name for port in step.inputs],
            output_names=[port.name for port in step.outputs],
            external_data=False,
            verbose=False,
        )
        assert made is not None
        for node in made.model.graph.all_nodes():
            node.metadata_props.clear()  # the exporter's own traces, with paths of this machine
        made.save(path)


def trace(step: PolicyStep) -> torch.export.ExportedProgram:
    """The step as one graph without paths of this machine; its first axis may have any length."""
    rows = torch.export.Dim("rows")
    shapes = {"inputs": tuple({0: rows} for _ in step.inputs)}
    program = torch.export.export(step, step.example(), dynamic_shapes=shapes)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own libraries away from the user."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
