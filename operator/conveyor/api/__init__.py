"""The Kubernetes surface, as data: names, models, conditions, schema. Knows no cluster."""
