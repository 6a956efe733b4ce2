"""In place of the package, whose other rooms are the real ones."""

__version__ = "stand-in"
