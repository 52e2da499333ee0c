"""Events, chunks of events, their truth, features and track candidates; errors.

The lowest room of the package: arrays and records, no files and no servers.
"""
