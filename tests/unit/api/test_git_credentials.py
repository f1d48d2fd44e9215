"""Which Secret is meant for which repository: bound to scheme, host, port and the beginning of the path."""

import pytest

from conveyor.api.spec import ImageBuildSpec


def secret(url: str, *begins: str, source: str = "") -> str | None:
    git = {"url": source, "branch": "main", "secretRef": {"name": "own"}}
    spec = ImageBuildSpec.model_validate(
        {
            "repo": "r.example/x",
            "config": "-",
            "gitCredentials": [
                {"url": it, "secretRef": {"name": f"s{n}"}} for n, it in enumerate(begins)
            ],
            **({"source": {"git": git}} if source else {}),
        }
    )
    found = spec.git_secret(url)
    return found.name if found else None


@pytest.mark.parametrize(
    ("url", "begin"),
    [
        ("https://git.example/a/b.git", "https://git.example"),
        ("https://git.example/a/b.git", "https://git.example/"),
        ("https://git.example/a/b.git", "https://git.example/a"),
        ("https://git.example/a/b.git", "https://git.example/a/b"),
        ("https://git.example/a/b", "https://git.example/a/b.git"),
        ("https://GIT.example:443//a/b/", "https://git.EXAMPLE/a"),
        ("http://git.example:8080/a", "http://git.example:8080"),
        ("ssh://git@git.example/a/b", "ssh://git.example/a"),
        ("git@git.example:a/b.git", "ssh://git@git.example/a"),
        ("git@git.example:/a/b.git", "ssh://git.example:22"),
    ],
)
def test_it_is_for_this_repository(url: str, begin: str) -> None:
    assert secret(url, begin) == "s0"


@pytest.mark.parametrize(
    ("url", "begin"),
    [
        ("http://git.example/a/b", "https://git.example"),
        ("https://git.example.evil.example/a", "https://git.example"),
        ("https://git.example:8443/a/b", "https://git.example"),
        ("https://git.example/ab", "https://git.example/a"),
        ("https://git.example/a", "https://git.example/a/b"),
        ("https://git.example/a/../b", "https://git.example/a"),
        ("https://git.example/a/%2E%2e/b", "https://git.example/a"),
        ("https://git.example/a%2f..%2fb", "https://git.example/a"),
        ("https://git.example/a/..\\b", "https://git.example/a"),
        ("https://git.example@evil.example/a", "https://git.example"),
        ("ssh://evil.example%2Fx@git.example/a", "ssh://git.example"),
        ("https://git.example:x/a", "https://git.example"),
        ("https://[::1/a", "https://git.example"),
        ("/srv/a", "https://git.example"),
        ("git@git.example:a/b", "https://git.example"),
    ],
)
def test_it_is_not_for_this_repository(url: str, begin: str) -> None:
    assert secret(url, begin) is None


def test_the_longest_beginning_counts() -> None:
    begins = ("https://h/a", "https://h/a/b", "https://h")
    assert secret("https://h/a/b/c", *begins) == "s1"
    assert secret("https://h/a/x", *begins) == "s0"
    assert secret("https://h/x", *begins) == "s2"


def test_the_projects_own_repository_named_again_is_reached_as_the_project_is() -> None:
    own = "https://h/team/shop.git"
    assert secret("https://h/team/shop", source=own) == "own"
    assert secret("https://h/team/shop", "https://h/team/shop", source=own) == "s0"
    assert secret("https://h/team/other", source=own) is None
