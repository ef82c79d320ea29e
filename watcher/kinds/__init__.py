"""What can be watched: kinds of remote tasks, as data. `catalog.py` reads them, `kind.py` says what one is."""
