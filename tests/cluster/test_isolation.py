"""What user commands can see, what images contain, what the operator may do."""

import base64
import secrets

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, KubeError
from tests.cluster.operator_pod import NAMESPACE, SERVICE_ACCOUNT
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"


def _pattern(text: str) -> str:
    """A regular expression for `text` that does not match itself."""
    return f"{text[:-1]}[{text[-1]}]"


SEARCH = """\
image: spy
from: debian:bookworm
git: [{{add: /file, to: /file}}]
shell:
  install:
  - |
    look() {{ grep -raEl -e '{password}' -e '{login}' -e '[C]ONVEYOR_COURIER' "$@" 2>/dev/null >> /found || true; }}
    : > /found
    look --exclude-dir=proc --exclude-dir=sys --exclude=found /
    for process in /proc/[0-9]*; do look $process/environ $process/cmdline; done
    look /proc/mounts
    for path in /var/run/secrets /run/secrets /.conveyor-secrets; do
      if [ -e $path ]; then echo $path >> /found; fi
    done
    env | grep -iE 'passwor[d]|toke[n]|KUBERNETE[S]_' >> /found || true
    ls /.conveyor-io > /shared
"""


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_no_credential_is_visible(lab: Harness, execution: str) -> None:
    """Git and registry logins are in use, and a stage that searches for them finds nothing."""
    login = base64.b64encode(f"{lab.at.user}:{lab.at.password}".encode()).decode().rstrip("=")
    config = META + SEARCH.format(password=_pattern(lab.at.password), login=_pattern(login))
    project = lab.git_project({"file": "x\n"})
    registry = {"name": lab.registry_secret()}
    build = lab.build(
        config=config,
        repo=lab.new_repo(lab.at.registry_auth),
        source={
            "url": project.private_url,
            "commit": project.commit,
            "secretRef": {"name": lab.git_secret()},
        },
        pushSecretRef=registry,
        imagePullSecrets=[registry],
        execution=execution,
    )
    ref = refs(build.wait_ready())["spy"]
    assert lab.pods.shell(ref, "cat /found", pull_secret=registry["name"]) == ""
    assert (
        lab.pods.shell(ref, "test -s /shared && echo looked", pull_secret=registry["name"])
        == "looked\n"
    )


def test_pods_are_plain(lab: Harness) -> None:
    """No privilege, no host, no token, credentials only beside the courier."""
    registry = {"name": lab.registry_secret()}
    config = META + "image: a\nfrom: debian:bookworm\nshell: {install: sleep 4}\n"
    build = lab.build(
        config=config,
        repo=lab.new_repo(lab.at.registry_auth),
        pushSecretRef=registry,
        imagePullSecrets=[registry],
        podTemplate={"labels": {"team": "blue"}, "resources": {"limits": {"memory": "256Mi"}}},
    )
    build.wait_jobs()
    pod = build.pods()[0]
    assert pod["metadata"]["labels"]["team"] == "blue"
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    assert not [
        volume for volume in spec["volumes"] if "hostPath" in volume or "projected" in volume
    ]
    stage, courier = (
        next(one for one in spec["containers"] if one["name"] == name)
        for name in ("stage", "courier")
    )
    assert stage["resources"]["limits"]["memory"] == "256Mi"
    assert not {"privileged", "capabilities"} & set(stage["securityContext"])
    secret_volumes = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    assert secret_volumes
    assert not secret_volumes & {mount["name"] for mount in stage.get("volumeMounts", [])}
    assert secret_volumes <= {mount["name"] for mount in courier["volumeMounts"]}
    build.wait_ready()


def test_no_trace_of_the_tools(lab: Harness) -> None:
    """No file of Conveyor, of the kubelet or of /proc in any layer, even of a stage that tried to leave some."""
    config = META + (
        "image: a\nfrom: debian:bookworm\nshell:\n  install:\n"
        "  - echo x > /.conveyor-io/mine || true\n  - echo 1.2.3.4 example >> /etc/hosts\n"
        "  - sleep 600 &\n  - echo y > /y\n"
    )
    ref = refs(lab.build(config=config).wait_ready())["a"]
    config_of = lab.registry.config(ref)
    assert "conveyor" not in str(config_of["config"]["Env"]).lower()
    look = "ls -A / | grep -i -e conveyor -e werf || true; grep example /etc/hosts || true; cat /y"
    assert lab.pods.shell(ref, look) == "y\n"
    base = lab.registry.layers(f"{lab.at.registry}/library/debian:bookworm")
    assert len(lab.registry.layers(ref)) == len(base) + 1


def test_ca_bundle(lab: Harness) -> None:
    """Certificate authorities are announced to commands and leave no trace in the image."""
    name = f"ca-{secrets.token_hex(4)}"
    lab.kube.create(
        f"{CORE}/namespaces/{lab.namespace}/configmaps",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"company.pem": lab.kube.ca_pem},
        },
    )
    marker = lab.kube.ca_pem.splitlines()[3]
    config = (
        META
        + f"""\
image: a
from: debian:bookworm
shell:
  install:
  - grep -qF '{marker}' "$SSL_CERT_FILE"
  - for name in PIP_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO; do
    test "$(printenv $name)" = "$SSL_CERT_FILE"; done
  - echo seen > /seen
"""
    )
    bundle = {"configMapRef": {"name": name, "key": "company.pem"}}
    ref = refs(lab.build(config=config, caBundle=bundle).wait_ready())["a"]
    env = str(lab.registry.config(ref)["config"]["Env"])
    assert not [word for word in ("SSL_CERT", "CA_BUNDLE", "PIP_CERT") if word in env]
    look = f"cat /seen; ls -A / | grep conveyor || true; grep -rlF '{marker}' /etc /usr/share /usr/local || true"
    assert lab.pods.shell(ref, look) == "seen\n"


def test_ca_bundle_does_not_exist(lab: Harness) -> None:
    config = META + "image: a\nfrom: debian:bookworm\n"
    build = lab.build(config=config, caBundle={"configMapRef": {"name": "nobody-made-it"}})
    status = build.wait_stalled("SecretNotFound")
    assert "nobody-made-it" in status["failure"]["message"]
    build.stays_quiet()


def test_rights_of_the_operator(lab: Harness) -> None:
    """In a namespace that was not opened: no Secret, no wildcard, no exec, nothing of pods but reading."""
    who = f"--as=system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
    said = lab.kube.kubectl("auth", "can-i", "--list", who, "--namespace", "kube-public")
    rules = [line.split() for line in said.splitlines()[1:] if line and not line.startswith(" ")]
    resources = {rule[0] for rule in rules}
    assert "secrets" not in resources
    assert "configmaps" not in resources
    assert not [name for name in resources if "*" in name]
    assert "pods/exec" not in resources
    assert {"jobs.batch", "imagebuilds.conveyor.dev"} <= resources
    for verb, resource in (
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("delete", "pods"),
        ("patch", "imagebuilds.conveyor.dev"),
        ("delete", "imagebuilds.conveyor.dev"),
        ("get", "leases.coordination.k8s.io"),
        ("get", "configmaps"),
        ("create", "serviceaccounts/token"),
        ("escalate", "clusterroles"),
    ):
        with pytest.raises(KubeError, match=r"^1: "):
            lab.kube.kubectl("auth", "can-i", verb, resource, who, "--namespace", "kube-public")


def test_secrets_only_by_name(lab: Harness) -> None:
    """Where the credentials role is bound, Secrets can be read by name, but not listed, watched or written."""
    who = f"--as=system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
    where = ("--namespace", lab.namespace)
    assert lab.kube.kubectl("auth", "can-i", "get", "secrets", who, *where) == "yes\n"
    for verb in ("list", "watch", "create", "update", "delete"):
        with pytest.raises(KubeError, match=r"^1: "):
            lab.kube.kubectl("auth", "can-i", verb, "secrets", who, *where)
