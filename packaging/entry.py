"""Where the frozen program begins."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
