"""Layers and helpers that several networks share."""
