"""An agent's policy as a folder that runs without this package."""

from choreo.export.contract import Source
from choreo.export.folder import Extras, Settings, check_new, export
from choreo.export.player import Exported, is_exported
from choreo.export.recorded import record
from choreo.export.step import ExportPolicy, check_policy

__all__ = [
    "ExportPolicy",
    "Exported",
    "Extras",
    "Settings",
    "Source",
    "check_new",
    "check_policy",
    "export",
    "is_exported",
    "record",
]
