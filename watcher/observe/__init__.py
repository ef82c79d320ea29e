"""What an operator sees of the watcher: metrics, the lag of the event loop, and logs without personal data and secrets."""
