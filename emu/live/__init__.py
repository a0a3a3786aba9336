"""Whole Go programs, from their entry point to their exit, with every stack switch watched."""
