"""Flows: several routines, goroutines and growths in one run, and what must hold all the way."""
