"""Pictures as arrays: damage, classical fills, measures."""
