"""Simulators: what moves, and nothing of processes."""
