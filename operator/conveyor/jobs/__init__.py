"""A plan and what is seen of the cluster in; actions, Job manifests and status out; pure."""
