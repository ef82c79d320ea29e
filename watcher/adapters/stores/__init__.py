"""Where watches, the outbox and dead letters are kept. One file or folder for each store; none knows another."""
