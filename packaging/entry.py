"""Where the frozen program begins. It is also the console, which runs in a process of its own."""

import sys

from gateway.cli.program import CONSOLE


def main() -> None:
    if sys.argv[1:2] == [CONSOLE]:
        from tui.__main__ import main as console

        del sys.argv[1]
        sys.exit(console())
    from gateway.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
