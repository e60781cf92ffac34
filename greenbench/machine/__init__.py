"""The machine: what it is, and how many of its cores may be used."""
