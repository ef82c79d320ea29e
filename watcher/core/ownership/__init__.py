"""Which replica owns which shards, and what the replicas tell one another."""
