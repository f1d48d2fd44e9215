"""Stages of ansible on an image that has no Python: what the tasks made is seen from inside the built image."""

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, condition, stages
from tests.cluster.harness import Harness
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
WERF = (
    META
    + """\
image: app
from: debian:bookworm
git:
- {add: /conf, to: /conf}
ansible:
  beforeInstall:
  - name: a package
    apt: {name: hello, update_cache: yes, install_recommends: no}
  - user: {name: app, uid: 4242, shell: /bin/false, home: /home/app}
  install:
  - file: {path: /srv/app, state: directory, owner: app, group: app, mode: 0750}
  - copy: {content: "a=1\\nb=<2> & ü\\n", dest: /etc/app.conf, mode: "0640"}
  - lineinfile: {path: /etc/app.conf, regexp: "^a=", line: "a={{`{{ value }}`}}"}
    vars: {value: 7}
  - name: several
    copy: {content: '{{`{{ item }}`}}', dest: '/srv/app/{{`{{ item }}`}}'}
    with_items: [one, two]
  - copy: {src: /conf/site.conf, dest: /etc/site.conf, remote_src: yes}
  setup:
  - block:
    - command: "false"
    - file: {path: /never, state: touch}
    rescue:
    - copy: {content: rescued, dest: /rescued}
    always:
    - shell: 'echo "always as $(id -u), $GREETING" > /always'
      environment: {GREETING: hello}
  - command: id -un
    become_user: app
    register: who
  - copy: {content: '{{`{{ who.stdout }}`}}', dest: /who}
  - ini_file: {path: /etc/app.ini, section: main, option: key, value: text}
  - command: test -e /nothing
    ignore_errors: yes
  - command: touch /skipped
    when: who.stdout == "root"
"""
)
LOOK = """\
hello
cat /etc/app.conf /etc/site.conf
stat -c '%a %U' /etc/app.conf /srv/app
ls /srv/app
cat /rescued; echo
cat /always /who; echo
cat /etc/app.ini
id app
ls -A /root /tmp /var/tmp
ls -d /.conveyor* /.ansible* /never /skipped 2>&1 | grep -c 'No such file'
which python3 || echo no python
"""
SEEN = """\
Hello, world!
a=7
b=<2> & ü
site
640 root
750 app
one
two
rescued
always as 0, hello
app

[main]
key = text
uid=4242(app) gid=4242(app) groups=4242(app)
/root:
.bashrc
.profile

/tmp:

/var/tmp:
4
no python
"""


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_tasks(lab: Harness, execution: str) -> None:
    project = lab.git_project({"werf.yaml": WERF, "conf/site.conf": "site\n"})
    build = lab.build(project, execution=execution)
    status = build.wait_ready()
    assert stages(status, "app") == dict.fromkeys(
        ("from", "beforeInstall", "gitArchive", "install", "setup"), "Built"
    )
    assert lab.pods.shell(refs(status)["app"], LOOK) == SEEN


def test_nothing_of_the_image_is_needed(lab: Harness) -> None:
    """No shell, no libraries, no Python: modules run on what the layers bring along."""
    werf = META + (
        "image: bare\nfrom: scratch\nansible:\n  install:\n"
        "  - copy: {content: bare, dest: /a/file}\n"
        "    when: false\n"
        "  - file: {path: /a, state: directory}\n"
        "  - copy: {content: bare, dest: /a/file}\n"
        "---\nimage: look\nfrom: debian:bookworm\n"
        "import: [{image: bare, add: /a, to: /a, after: install}]\n"
    )
    status = lab.build(config=werf).wait_ready()
    assert lab.pods.shell(refs(status)["look"], "cat /a/file") == "bare"


def test_a_failed_task(lab: Harness) -> None:
    werf = META + (
        "image: broken\nfrom: debian:bookworm\nansible:\n  install:\n"
        "  - debug: {msg: a word before}\n"
        "  - block:\n"
        "    - name: the culprit\n"
        "      shell: echo a complaint >&2; exit 42\n"
        "      tags: [mine]\n"
        "    always:\n"
        "    - debug: {msg: cleaned up}\n"
        "  - debug: {msg: never}\n"
    )
    status = lab.build(config=werf).wait_stalled("StageFailed")
    failure = status["failure"]
    assert failure["command"] == (
        "- name: the culprit\n  shell: echo a complaint >&2; exit 42\n  tags:\n  - mine"
    )
    assert failure["exitCode"] == 42
    assert "a complaint" in failure["message"]
    assert "a word before" in failure["logTail"]
    assert "cleaned up" in failure["logTail"]
    assert "never" not in failure["logTail"]
    assert "a complaint" in condition(status, "Ready")["message"]


def test_tasks_that_ansible_does_not_take(lab: Harness) -> None:
    werf = META + (
        "image: broken\nfrom: debian:bookworm\nansible:\n  install:\n"
        "  - command: 'true'\n    whenn: yes\n"
    )
    status = lab.build(config=werf).wait_stalled("StageFailed")
    failure = status["failure"]
    assert "conflicting action statements: command, whenn" in failure["message"]
    assert failure["exitCode"] == 4
