"""What containers of a build pod ask of a node.

In: what an ImageBuild says, and the operator's default. Out: `resources` of the stage container; those of our own. A request of
processor is also the weight with which containers share one that is scarce (cgroups): a stage has ten times its courier's, or
commands would wait while layers of earlier runs are compressed.
"""

from typing import Final

from conveyor.api.pod_template import Resources
from conveyor.api.quantity import quantity

Json = dict[str, object]

CPU_REQUEST: Final = "50m"
"""Of a stage, by default."""
# The courier needs about 50 MiB, for a 3 GB layer too (ADR 4); a CPU limit would only make every stage wait.
OWN: Final[Json] = {
    "requests": {"cpu": "5m", "memory": "64Mi"},
    "limits": {"memory": "512Mi"},
}


def stage_resources(given: Resources, cpu_request: str) -> Json:
    """Return the `resources` of the container that runs commands.

    Args:
        given: Of the ImageBuild.
        cpu_request: Where it says nothing of `cpu`; nothing then for "0".
    """
    requests = {name: str(amount) for name, amount in given.requests.items()}
    limits = {name: str(amount) for name, amount in given.limits.items()}
    # A limit alone is a request as well, to Kubernetes.
    if "cpu" not in {**requests, **limits} and quantity(cpu_request):
        requests["cpu"] = cpu_request
    named = {"requests": requests, "limits": limits}
    return {key: values for key, values in named.items() if values}
