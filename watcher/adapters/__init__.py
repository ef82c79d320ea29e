"""The code that touches the world. An adapter makes one attempt and names what went wrong; it never waits, repeats or logs."""
