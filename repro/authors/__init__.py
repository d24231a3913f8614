"""The authors' own code on their own stack, and what it reaches beside ours."""
