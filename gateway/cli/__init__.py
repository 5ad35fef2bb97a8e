"""The command line. One module per family of commands; heavy imports only inside commands."""
