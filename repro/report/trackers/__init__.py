"""Write runs for the trackers that people look at, one module a tracker, each by the tracker's own library."""
