# What developers run. Everything installs what it needs into .venv first.

dev := "python3 packaging/dev.py"

# lint, types, tests
default: lint types test

# three simulators, one order, one answer
demo *ARGS:
    {{dev}} demo {{ARGS}}

test *ARGS:
    {{dev}} test {{ARGS}}

lint:
    {{dev}} lint

types:
    {{dev}} types

# latency, memory and start-up, one core for the server
bench *ARGS:
    {{dev}} run python -m benchmarks {{ARGS}}

# orders, broker faults and kill -9 against a real gateway, judged by the checker
chaos *ARGS:
    {{dev}} run python -m tests.chaos.run {{ARGS}}

# the program as a folder and as one file, in dist/
build:
    python3 packaging/build.py
    BROKERGATE_BINARIES=dist {{dev}} test tests/packaging

# binary, wheel, SBOM, licences and checksums, in dist/ (--dry-run: the documents only)
release *ARGS:
    python3 packaging/release.py {{ARGS}}

# write the code in the one format
format:
    {{dev}} run ruff check --fix-only --quiet .
    {{dev}} run ruff format .

# pin the newest allowed versions, the same for every supported Python and machine
pin:
    #!/usr/bin/env bash
    set -euo pipefail
    pin() {
        uv pip compile pyproject.toml --generate-hashes --no-emit-index-url \
            --no-annotate --no-header --extra build "$@"
    }
    first="--python-version 3.11 --python-platform x86_64-unknown-linux-gnu"
    pin --quiet --upgrade $first -o requirements.txt
    pin --quiet --upgrade $first --extra dev -c requirements.txt -o requirements-dev.txt
    pin --quiet --upgrade $first --extra binary -c requirements.txt -o packaging/requirements-binary.txt
    for python in 3.11 3.12 3.13; do
        for machine in x86_64 aarch64; do
            pin --python-version "$python" --python-platform "$machine-unknown-linux-gnu" \
                --extra dev -c requirements-dev.txt -o - 2>/dev/null | diff requirements-dev.txt - ||
                { echo "Python $python on $machine needs other packages" >&2; exit 1; }
        done
    done
