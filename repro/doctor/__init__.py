"""Check whether this machine is fit for a long run: `make doctor`.

Standard library only, Python 3.8 or newer: nothing is installed yet.
"""
