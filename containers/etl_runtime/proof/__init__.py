"""The proof: no original value of what was scrubbed is in what is released."""
