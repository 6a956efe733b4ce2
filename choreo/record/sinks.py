"""Where metrics go besides JSON lines; nothing here can stop or delay a run."""

import abc
import logging
import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)

WAITING = 10_000  # records that may wait for a slow network before new ones are dropped [ours]
CLOSE_SECONDS = 20.0  # how long the end of a run waits for the network [ours]


@dataclass(frozen=True)
class WandbOptions:
    """Options of Weights & Biases, which needs `pip install choreo[wandb]`."""

    project: str = "choreo"
    """Project the run appears in."""
    entity: str | None = None
    """User or team; None is the account's default."""
    name: str | None = None
    """Name shown for the run; None is the run folder's name."""
    group: str | None = None
    """Group the run is shown in."""
    mode: Literal["online", "offline"] = "online"
    """Whether to send metrics as they come or to keep them for `wandb sync`."""


class Sink(abc.ABC):
    """Something that takes metrics and may fail."""

    name: str

    @abc.abstractmethod
    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Take the values of one line."""

    @abc.abstractmethod
    def resume(self, step: int) -> None:
        """Hide everything written after `step`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finish."""


class GuardedSink(Sink):
    """A sink whose first failure is a warning, and which is left alone from then on."""

    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self._sink: Sink | None = sink

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Pass on, unless the sink has failed before."""
        self._call("write", kind, step, values)

    def resume(self, step: int) -> None:
        """Pass on, unless the sink has failed before."""
        self._call("resume", step)

    def close(self) -> None:
        """Pass on, unless the sink has failed before."""
        self._call("close")

    def _call(self, method: str, *arguments: Any) -> None:
        if self._sink is None:
            return
        try:
            getattr(self._sink, method)(*arguments)
        except Exception as error:
            self._sink = None
            _warn(self.name, error)


class TensorBoardSink(Sink):
    """Event files for TensorBoard, one scalar per value, named `kind/value`."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._purge: int | None = None

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Add one point to every curve."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def resume(self, step: int) -> None:
        """Tell TensorBoard to forget the points after `step` that a killed run has left."""
        self.close()
        self._purge = step + 1

    def close(self) -> None:
        """Write out what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class WandbSink(Sink):
    """Weights & Biases, in a thread of its own, so that a network that hangs delays nothing."""

    name = "Weights & Biases"

    def __init__(self, folder: Path, options: WandbOptions, config: dict[str, Any]) -> None:
        self._folder = folder
        self._options = options
        self._config = config
        self._queue: queue.Queue[tuple[int, dict[str, float]] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Hand over; raises `queue.Full` when far too much is waiting."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
            self._thread.start()
        self._queue.put_nowait((step, {f"{kind}/{name}": v for name, v in values.items()}))

    def resume(self, step: int) -> None:
        """Nothing to do: the service goes on with the run of the same id."""

    def close(self) -> None:
        """Wait a little for what is still on its way."""
        if self._thread is None:
            return
        self._queue.put_nowait(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("%s did not finish in time; its last metrics are lost.", self.name)
        self._thread = None

    def _work(self) -> None:
        """Run in the thread: start, send until told to stop, finish."""
        try:
            run = self._start()
            while (item := self._queue.get()) is not None:
                step, values = item
                run.log({**values, "step": step})
            run.finish()
        except (Exception, SystemExit) as error:
            _warn(self.name, error)
            while self._queue.get() is not None:  # keep taking, so that the queue never fills
                pass

    def _start(self) -> Any:
        import wandb  # pyright: ignore[reportMissingImports]

        options = self._options
        return wandb.init(
            project=options.project,
            entity=options.entity,
            name=options.name or self._folder.resolve().name,
            group=options.group,
            mode=options.mode,
            dir=str(self._folder),
            id=self._run_id(wandb),
            resume="allow",
            config=self._config,
        )

    def _run_id(self, wandb: Any) -> str:
        """The id under which a resumed run goes on; made once and kept in the run folder."""
        file = self._folder / "wandb_id"
        if not file.exists():
            file.write_text(wandb.util.generate_id(), encoding="utf-8")
        return file.read_text(encoding="utf-8")


def _warn(name: str, error: BaseException) -> None:
    log.warning("%s stopped working and is left out from now on: %r", name, error)
