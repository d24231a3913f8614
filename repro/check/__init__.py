"""Check a short run against kept baselines."""
