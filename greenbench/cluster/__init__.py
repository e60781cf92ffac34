"""Repeats on other machines: Dask brings them there, and journals come back."""
