"""The `flyball` command, one file for each subcommand."""
