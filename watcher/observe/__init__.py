"""What an operator sees of the watcher: metrics, the health of its loop, and logs without persons or secrets in them."""
