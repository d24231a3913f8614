"""Check published figures, a run or a log for internal consistency."""
