"""The Kubernetes API and kubectl, as cluster-admin.

In: a kubeconfig with a client certificate. Out: JSON of the API server; every other answer than success is a `KubeError`
with the server's own sentence.
"""

import base64
import json
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

Json = dict[str, Any]

CORE = "/api/v1"
BATCH = "/apis/batch/v1"
CONVEYOR = "/apis/conveyor.dev/v1alpha1"
LEASES = "/apis/coordination.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"

MERGE = "application/merge-patch+json"
_TRIES = 5


class KubeError(AssertionError):
    """The API server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def eventually(what: str, seconds: float, check: Callable[[], object], every: float = 0.3) -> None:
    """Wait until `check` answers something true; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kube:
    """One connection per request: tests run in several processes."""

    kubeconfig: Path
    host: str
    port: int
    context: ssl.SSLContext
    ca_pem: str

    @classmethod
    def connect(cls, kubeconfig: Path) -> "Kube":
        """Read the kubeconfig of the development cluster."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=ca_pem)
        with tempfile.NamedTemporaryFile() as both:
            both.write(base64.b64decode(user["client-certificate-data"]))
            both.write(b"\n" + base64.b64decode(user["client-key-data"]))
            both.flush()
            context.load_cert_chain(both.name)
        address = urlsplit(cluster["server"])
        return cls(
            kubeconfig=kubeconfig,
            host=str(address.hostname),
            port=address.port or 443,
            context=context,
            ca_pem=ca_pem,
        )

    def request(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> str:
        """One request; what cannot be sent is sent again, for the API server of a small machine hiccups."""
        for rest in reversed(range(_TRIES)):
            try:
                return self._once(method, path, body, kind)
            except (OSError, HTTPException):
                if not rest:
                    raise
                time.sleep(1)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: object, kind: str) -> str:
        connection = HTTPSConnection(self.host, self.port, timeout=30, context=self.context)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers={"Content-Type": kind})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status >= 400:
            said = json.loads(text).get("message", text) if text.startswith("{") else text
            raise KubeError(response.status, said)
        return text

    def get(self, path: str) -> Json | None:
        """One object; None when there is none."""
        try:
            found: Json = json.loads(self.request("GET", path))
        except KubeError as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(self, path: str, *, selector: str = "", field: str = "") -> list[Json]:
        """The items of a collection."""
        query = {"labelSelector": selector, "fieldSelector": field}
        text = self.request("GET", f"{path}?{urlencode({k: v for k, v in query.items() if v})}")
        items: list[Json] = json.loads(text)["items"]
        return items

    def create(self, path: str, body: Mapping[str, object]) -> Json:
        """Create an object; unknown fields are refused."""
        made: Json = json.loads(self.request("POST", f"{path}?fieldValidation=Strict", body))
        return made

    def patch(self, path: str, body: object) -> Json:
        """Merge-patch an object."""
        changed: Json = json.loads(self.request("PATCH", path, body, kind=MERGE))
        return changed

    def delete(self, path: str, *, grace: int | None = None) -> None:
        """Delete an object in the background; one that is gone is fine."""
        options: Json = {"propagationPolicy": "Background"}
        try:
            self.request(
                "DELETE",
                path,
                options if grace is None else options | {"gracePeriodSeconds": grace},
            )
        except KubeError as error:
            if error.status != 404:
                raise

    def log(self, namespace: str, pod: str, container: str, *, tail: int = 0) -> str:
        """Log of a container, "" when it has none."""
        query = {"container": container} | ({"tailLines": str(tail)} if tail else {})
        try:
            return self.request(
                "GET", f"{CORE}/namespaces/{namespace}/pods/{pod}/log?{urlencode(query)}"
            )
        except KubeError as error:
            return f"(no log: {error})" if error.status == 400 else ""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl.

        Raises:
            KubeError: It ended with an error.
        """
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],  # noqa: S607 - of `env`
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise KubeError(done.returncode, done.stderr)
        return done.stdout
