"""Conveyor: container images built stage by stage on Kubernetes, the way werf does."""

__version__ = "0.1.0"
