"""Where watches, the outbox and dead letters are kept. One package for each store; none imports another."""
