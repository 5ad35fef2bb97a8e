"""What pytest leaves alone: a package with tests of its own, which another test runs."""

collect_ignore = ["external_adapter"]
