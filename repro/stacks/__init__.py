"""Stacks: which releases of MindSpore there are, and what belongs to each."""
