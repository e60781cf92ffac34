"""The processes around a repeat: session, workers, delivery, checkouts."""
