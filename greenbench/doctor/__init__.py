"""The doctor: what this machine measures, and what computes best on it."""
