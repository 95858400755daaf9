"""Programs that are measured, one per file: this project's way of a task, and what a user would do instead."""
