"""Comparers: pure functions on tables of results."""
