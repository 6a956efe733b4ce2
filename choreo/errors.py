"""Errors a user can meet: each says what was found, what was wanted and what to do."""


class ChoreoError(Exception):
    """Something that stops a command; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(ChoreoError):
    """The command or an argument cannot be carried out as given; another one can."""

    exit_code = 2


class EnvironmentMismatch(UsageError):
    """An environment does not fit the agent, or cannot be used by any agent."""


class EnvironmentFailed(UsageError):
    """An environment's own code raised an error; its last line and where the rest is are told."""


class NotFinite(ChoreoError):
    """An environment or a loss gave NaN or infinity."""


class CheckpointError(ChoreoError):
    """A checkpoint is missing, truncated, foreign or of another configuration."""


class NoCheckpoint(CheckpointError):
    """A path leads to no agent that can be opened; another path may."""

    exit_code = 2


class StorageError(ChoreoError):
    """Data could not be written, most often because the disk is full."""

    exit_code = 74  # EX_IOERR: not the fault of the command, which can be given again


class RendererUnavailable(ChoreoError):
    """No headless OpenGL back end can draw a frame on this machine."""
