"""Messages of the operator in the words of somebody who has no cluster.

In: a message as it would stand in the status of an ImageBuild. Out: the same for a reader of `conveyor build`: options in place
of fields of a spec and of the chart, the Docker Engine in place of nodes and pods.
"""

import re
from typing import Final

_CHART: Final = r"the cluster's administrator allows hosts with `addRemote\.{}` of Conveyor's chart"
# In this order: what is told whole comes before single words.
_PHRASES: Final = (
    (r"\bImageBuild\.spec\.", "spec."),
    (r"the secret '([^']*)'; name its Secret in spec\.secrets", r"the secret '\1'; give it with --secret id=\1,src=FILE"),
    (r"an SSH agent; name Secrets with keys in spec\.sshKeySecretRefs", "an SSH agent; give it with --ssh default"),
    (r"RUN --mount=type=ssh are named in spec\.sshKeySecretRefs", "RUN --mount=type=ssh are given with --ssh"),
    (r"RUN --mount=type=secret are named in spec\.secrets", "RUN --mount=type=secret are given with --secret"),
    (r"the key of spec\.sshKeySecretRefs\[(\d+)\]", r"private key \1 of --ssh (counted from 0)"),
    (r"ssh-privatekey has to be", "it has to be"),
    (r"has no volume in this cluster", "is a directory that no stage can see: the Docker Engine may be on another machine"),
    (
        r"its administrator gives paths a volume with `mounts\.fromPaths` of Conveyor's chart \(now: none\)",
        "use `from: build_dir`, which is kept from build to build, or files of a commit",
    ),
    (_CHART.format("enabled"), "leave --no-add-remote out"),
    (_CHART.format("allowedHosts"), "allow it with --add-remote-allowed-host"),
    (_CHART.format("privateHosts"), "allow it with --add-remote-private-host"),
    (
        r"the Docker Engine builds for (\S+), not for ([^\s;]+)",
        r"the Docker Engine here builds for \1, not for \2; use --platform \1, or another Engine with --docker-host",
    ),
    (
        r"this operator has no (tools|ansible) for (\S+), only for (\S+); see tools\.platforms of its chart",
        r"the Docker Engine here builds for \3, not for \2; use --platform \3, or another Engine with --docker-host",
    ),
    (
        r"the stage used more memory than its limit; raise spec\.podTemplate\.resources\.limits\.memory",
        "the stage used more memory than the Docker Engine's machine has left",
    ),
    (r"; raise spec\.podTemplate\.resources\.limits\.memory", "; the Docker Engine's machine has too little"),
    (r"the stage ran longer than spec\.stageTimeout", "the stage ran longer than --stage-timeout"),
    (r"the node cannot pull", "the Docker Engine cannot pull"),
    (
        r"name a Secret with pull credentials in spec\.imagePullSecrets, or configure the registry \(and its CA\) in the "
        r"nodes' container runtime",
        "log in with docker login; a registry without verified TLS has to be in the Engine's insecure-registries",
    ),
    (
        r"ssh needs a login: add one for it to spec\.gitCredentials",
        "ssh needs a login: clone it, and name the clone with --remote URL=DIR",
    ),
    (r"platform (\S+) on an Engine of (\S+):.*", r"platform \1 on an Engine of \2; use --platform \2"),
)  # fmt: skip
_OPTIONS: Final = {
    "spec.stageTimeout": "--stage-timeout",
    "spec.parallelTasksLimit": "--parallel",
    "spec.images": "--image",
    "spec.repo": "--repo",
    "spec.environment": "--env",
    "spec.configPath": "--config",
    "spec.source.git.commit": "--commit",
    "spec.source.git.path": "--dir",
    "spec.gitCredentials": "--remote",
    "spec.secrets": "--secret",
    "spec.sshKeySecretRefs": "--ssh",
    "spec.pushSecretRef": "docker login",
    "spec.pullSecretRefs": "docker login",
    "spec.imagePullSecrets": "docker login",
    "spec.caBundle": "--ca-file",
    "spec.env": "the environment",
}
_WORDS: Final = (
    ("build pods", "stage containers"),
    ("build pod", "stage container"),
    ("the network of their pod", "the network of their container"),
    ("the pod", "the container"),
    ("in this cluster", "here"),
)


def without_cluster(message: str) -> str:
    """Return a message for somebody who has no cluster."""
    for pattern, words in _PHRASES:
        message = re.sub(pattern, words, message)
    for name in sorted(_OPTIONS, key=len, reverse=True):
        message = re.sub(rf"{re.escape(name)}(?![A-Za-z])", _OPTIONS[name], message)
    for word, own in _WORDS:
        message = message.replace(word, own)
    return message
