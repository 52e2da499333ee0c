"""The models of a server at work: requests, queues, counters, the repository."""
