"""Scenes: the states in which each routine is entered, beside the contract that judges it."""
