"""Fleet stories on a real PostgreSQL server, on virtual time.

The store, its connections, and the server are real; only time is not. `real_io.py` lets the clock of the loop stand still
while the server works, and `wires.py` lets virtual time pass between two round trips of one transaction: so the transactions
of several replicas overlap, wait for the locks of one another, and are cut anywhere. `server.py` is the shared store of the
story, `audit.sql` watches it from the inside with triggers, and `mutants.py` has known bugs of the store that must be found.

A story is not the same each time: which of two replies comes first is decided by the operating system. What is drawn from the
seed is.
"""
