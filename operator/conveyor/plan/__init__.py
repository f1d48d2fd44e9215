"""The planner: config and facts in, a plan of stages with their digests out; pure."""
