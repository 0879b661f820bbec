"""Turn what the plan and the engine know into text for people."""
