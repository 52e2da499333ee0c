"""Events in, tracks out: readers, producers, the event loop, writers, evaluation."""
