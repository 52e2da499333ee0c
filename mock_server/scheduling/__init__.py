"""Who runs when: queues, joined batches, sequences, instances."""
