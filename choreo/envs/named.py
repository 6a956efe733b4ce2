"""Code that this user has named on a command line, so that their own runs may name it again.

A name alone is not enough, since any folder can hold a module of that name: what is remembered is
the name and the file that it led to.
"""

import hashlib
import importlib.machinery
import os
import sys
from contextlib import suppress
from pathlib import Path

from choreo.envs.make import names_code
from choreo.private import own_bytes, private_folder


def remember(id: str) -> None:
    """Note that the user named this environment, where it names code and can be found."""
    if not names_code(id) or (text := _identity(id)) is None:
        return
    with suppress(OSError):  # without a place for it the user is asked again
        path = _note(text)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)


def is_remembered(id: str) -> bool:
    """Whether the user has named this code before, in the file that it would be taken from now."""
    text = _identity(id)
    if text is None:
        return False
    try:
        return own_bytes(_note(text), len(text)) == text
    except OSError:
        return False


def _note(text: bytes) -> Path:
    folder = private_folder("XDG_STATE_HOME", ".local/state", "named")
    return folder / hashlib.sha256(text).hexdigest()


def _identity(id: str) -> bytes | None:
    """The id and the file of its module, or of the package that holds it; nothing is imported."""
    top = id.removeprefix("gym:").partition(":")[0].partition(".")[0]
    here = str(Path.cwd())  # where a module is looked for first, as by `make`
    found = importlib.machinery.PathFinder.find_spec(top, [here, *sys.path])
    if found is None:
        return None
    files = [found.origin] if found.origin else list(found.submodule_search_locations or ())
    return os.fsencode("\n".join([id, *(os.path.realpath(file) for file in files)]))
