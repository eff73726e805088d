"""What each program is told, read from its environment: every fault reported at once, by variable."""
