"""Logs, published figures, comparison and report. Never imports MindSpore or hlg."""
