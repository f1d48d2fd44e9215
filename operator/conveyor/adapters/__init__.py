"""One module or family of modules for each outside system: git, registry, Kubernetes, the template renderer."""
