"""The parts that the stages are built from: one noun a file, each hardened by default."""
