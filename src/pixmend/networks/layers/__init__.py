"""Layers and helper functions that several networks share."""
