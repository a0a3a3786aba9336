"""Regression suites for assembly: sources on a machine of each arch, the contracts' words, and golden traces."""
