"""Energy: the meter protocol, the meters, the ledger and the host lock."""
