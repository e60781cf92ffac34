"""The gate: budgets, baselines and verdicts, for builds that must not cost more than they did."""
