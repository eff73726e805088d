"""What a security reviewer reads: policies, state machines and manifests as pure functions, dict in, dict out."""
