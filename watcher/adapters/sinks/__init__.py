"""Where events can go, one file each."""
