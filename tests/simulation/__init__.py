"""The real watcher in simulated worlds on virtual time: seeded stories of faults and kills, and a check of every promise.

A *story* (`story.py`) says what happens in one run: tasks, faults, kills. It is data, drawn from a seed (`drawing.py`). Some
stories have calls about several tasks (`batch_kind.py`, `batch_probe.py`, `single_failures.py`), and some have executions of
Step Functions that wait for tasks (`executions.py`). A *world* (`world.py`) is what surrounds the watcher in a story: a queue,
sinks, a service (`peers.py`), and a disk (`disk.py`, `sqlite_disk.py`) that fail as the story says (`trouble.py`). `play`
(`play.py`) runs one process of the watcher after the other in a world, on a loop with virtual time (`virtual_time.py`,
`turns.py`), and returns a *record*. The *oracle* (`oracle.py`, `batch_oracle.py`, `token_oracle.py`) knows what really happened
to each task (`truth.py`), and finds every promise that the record breaks.

A *fuse* (`fuse.py`, `loop_fuse.py`) kills the process, or lets a call fail, at the nth call of a port or at the nth
iteration of the event loop. `mutants.py` has known bugs that the oracle must find.
"""
