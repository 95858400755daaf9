"""Programs that are measured, a file each: this project's forms and, in words of their own, what a user would do instead."""
