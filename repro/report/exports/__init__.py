"""Write runs in the formats of other projects, one module a format."""
