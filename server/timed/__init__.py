"""Calls that a provider bills by time: made here, held elsewhere; only their end is seen."""
