"""Several replicas of the real watcher in one story: one shared store, one queue, the same sinks, and the same service.

A *fleet story* (`story.py`) adds to a story when each process of each replica starts and ends, and trouble between the
replicas and their store. `loop.py` freezes one process while the others run. `server.py` is the shared store with its
network; another kind of shared store takes its place by implementing `Server`. `ports.py` has the ports of one process,
`world.py` and `play.py` run the processes. The *audit* (`audit.py`) watches the store from the inside: who owned what, and
which writes succeeded. `oracle.py` judges, and `mutants.py` has known bugs of replicas that it must find.
"""
