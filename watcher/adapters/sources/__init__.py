"""Where task ids can come from, one file each."""
