"""Recorded runs: what they hold, how they stand in a file, and the account of SP and guard made from them."""
