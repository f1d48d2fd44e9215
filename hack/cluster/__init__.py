"""The development cluster: kind, a registry and a git server, from package registries alone.

In: a Linux machine with (or able to install) Docker Engine and Go. Out: a running cluster that
`hack/cluster.py status` finds healthy. Each module handles one part; `hack/cluster.py` is the
command line.
"""
