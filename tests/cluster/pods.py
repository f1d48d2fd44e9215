"""Pods of built images: what an image is worth shows when it runs.

In: a reference by digest and a command. Out: what it printed.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.kube import CORE, Json, Kube

_SECONDS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs images in a namespace."""

    kube: Kube
    namespace: str

    def run(self, ref: str, argv: Sequence[str] | None = None, *, pull_secret: str = "") -> str:
        """Log of a pod of the image; the image's own ENTRYPOINT and CMD without `argv`.

        Raises:
            AssertionError: It ended with an error or not in time.
        """
        name = f"run-{secrets.token_hex(5)}"
        pods = f"{CORE}/namespaces/{self.namespace}/pods"
        self.kube.create(pods, _pod(name, ref, argv, pull_secret))
        try:
            pod = self._wait(f"{pods}/{name}")
            log = self.kube.log(self.namespace, name, "main")
            assert pod["status"]["phase"] == "Succeeded", f"{pod['status']}\n{log}"
            return log
        finally:
            self.kube.delete(f"{pods}/{name}", grace=0)

    def shell(self, ref: str, script: str, *, pull_secret: str = "") -> str:
        """Output of a shell script in the image."""
        return self.run(ref, ["/bin/sh", "-euc", script], pull_secret=pull_secret)

    def lines(self, ref: str, script: str) -> list[str]:
        """Output of a shell script, line by line."""
        return self.shell(ref, script).splitlines()

    def _wait(self, path: str) -> Json:
        end = time.monotonic() + _SECONDS
        while True:
            pod = self.kube.get(path)
            assert pod is not None
            if pod["status"].get("phase") in ("Succeeded", "Failed"):
                return pod
            assert time.monotonic() < end, f"the pod does not end: {pod['status']}"
            time.sleep(0.4)


def _pod(name: str, ref: str, argv: Sequence[str] | None, pull_secret: str) -> Json:
    container: Json = {"name": "main", "image": ref}
    if argv is not None:
        container["command"] = list(argv)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": pull_secret}] if pull_secret else [],
            "containers": [container],
        },
    }
