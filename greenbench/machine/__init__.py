"""The machine: what it is, how many of its cores may be used, and where the user's code lies."""
