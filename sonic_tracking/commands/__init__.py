"""The command `sonic`: each file is a subcommand: parse, call a job, print."""
