"""The programs that answer git's prompts: the URL's own scheme and host are told, nobody else."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from conveyor.adapters.git_credentials import GitCredentials, credential_environment
from conveyor.builder.courier_task import GitAccess
from conveyor.builder.inputs_git_access import access_environment

URL = "https://git.example:8443/team/app"
WORD = "a word"
Ask = Callable[[str], str]


def answer(environment: Mapping[str, str], prompt: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [environment["GIT_ASKPASS"], prompt],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def secret(folder: Path, **keys: str) -> Path:
    folder.mkdir()
    for name, text in keys.items():
        (folder / name.replace("_", "-")).write_text(text)
    return folder


def courier_environment(tmp_path: Path, **keys: str) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    mounted = str(secret(tmp_path / "secret", **keys))
    return access_environment(home, GitAccess(url=URL, credentials=mounted), None)


@pytest.fixture(params=["operator", "courier"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    if request.param == "courier":
        environment = courier_environment(tmp_path, username="me", password=WORD)
        return lambda prompt: answer(environment, prompt)

    def once(prompt: str) -> str:
        with credential_environment(URL, GitCredentials(username="me", password=WORD)) as env:
            return answer(env, prompt)

    return once


def test_the_repository_itself_is_answered(ask: Ask) -> None:
    assert ask("Username for 'https://git.example:8443': ") == "me"
    assert ask("Password for 'https://me@git.example:8443': ") == WORD


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://me@evil.example",
        "http://git.example:8443",
        "http://me@git.example:8443",
        "https://me@git.example",
        "https://x@git.example:8443': @evil.example",
        "https://git.example:8443': @evil.example",
        "https://git.example:8443'.evil.example",
    ],
)
@pytest.mark.parametrize("what", ["Username", "Password"])
def test_where_a_redirect_leads_is_not(ask: Ask, what: str, url: str) -> None:
    assert ask(f"{what} for '{url}': ") == ""


def test_a_secret_with_a_key_too_has_its_password_for_http(tmp_path: Path) -> None:
    found = courier_environment(tmp_path, username="me", password=WORD, ssh_privatekey="k")
    assert answer(found, "Password for 'https://me@git.example:8443': ") == WORD
