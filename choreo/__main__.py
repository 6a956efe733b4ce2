"""`python -m choreo` is the `choreo` command."""

import sys


def main() -> int:
    """Run the command line and return its exit code; the program `choreo` starts here."""
    from choreo.cli import main as run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
