"""`sonic bench`: scans that measure; planning, measuring and plotting apart."""
