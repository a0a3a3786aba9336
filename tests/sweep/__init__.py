"""A change of one instruction at a time, of every routine: each must fail a check, or have a reason not to."""
