"""`meshfleet` and `python -m meshfleet`.

This file alone is kept readable for any Python 3, so that an old one gets a sentence and not a SyntaxError.
"""

import sys


def main() -> int:
    """Run the command with this process's arguments; returns its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs it from a checkout may have any
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.stderr.write("meshfleet: needs Python 3.11 or newer; this is %s (%s).\n" % (found, sys.executable))  # noqa: UP031 - runs on any Python 3
        return 2
    if sys.argv[1:2] == ["run"]:
        from meshfleet.cli.run.running import run_words  # not the command's parser, which loads longer than the rest

        code = run_words(sys.argv[2:])
        if code is not None:
            return code
    try:
        from meshfleet.cli.main import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.stderr.write("meshfleet: the command needs the extra 'cli': pip install 'meshfleet[all]'\n")
        return 2
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
