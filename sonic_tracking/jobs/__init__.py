"""What the subcommands run: plain functions, whose imports may be heavy."""
