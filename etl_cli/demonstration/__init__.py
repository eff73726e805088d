"""The demonstration: the whole pipeline on this machine, and a report of what it did to the data."""
