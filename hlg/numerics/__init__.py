"""Does this stack compute HLG-Mobile? The checks of ``make fingerprint``, in the order in which data flows."""
