"""The Go side in Python: g, m and their stacks, growth, scheduling."""
