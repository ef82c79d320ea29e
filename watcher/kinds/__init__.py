"""What can be watched: kinds of remote tasks, as data. `catalog.py` reads them, `kind.py` defines one."""
