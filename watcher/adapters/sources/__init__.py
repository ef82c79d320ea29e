"""Sources: where the ids of tasks come from, one module for each."""
