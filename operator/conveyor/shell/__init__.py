"""The operator process: events wake, one reconcile gathers, plans, decides and applies."""
