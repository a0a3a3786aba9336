"""Contracts, compiled to tables that are judged at each crossing while a program runs."""
