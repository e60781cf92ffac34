"""One repeat of a case inside the worker: its search, its trainings, its result."""
