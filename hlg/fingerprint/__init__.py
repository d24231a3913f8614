"""Check that this stack computes HLG-Mobile: ``make fingerprint``."""
