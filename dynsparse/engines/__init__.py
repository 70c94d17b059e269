"""How an epoch is computed: one file for each engine."""
