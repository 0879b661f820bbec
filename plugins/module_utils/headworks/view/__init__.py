"""Text for people about the plan and about runs. Pure: the callers print it."""
