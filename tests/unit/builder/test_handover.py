"""A directory handed from one process to another over an abstract socket."""

import os
import secrets
import socket
from pathlib import Path

import pytest

from conveyor.builder.courier_io import Exchange
from conveyor.builder.handover import Offer, take


@pytest.fixture
def address() -> str:
    return f"\0conveyor-test-{secrets.token_hex(8)}"


def test_whoever_asks_gets_the_directory(tmp_path: Path, address: str) -> None:
    offer = Offer(str(tmp_path), address)
    assert not offer.wait(0)
    taken = take(5, address)
    assert taken is not None
    assert os.fstat(taken).st_ino == tmp_path.stat().st_ino
    assert not os.get_inheritable(taken)
    assert offer.wait(5)
    assert offer.wait(5)  # and stays taken
    Exchange(taken).ready(0)
    assert (tmp_path / "in/ready-0").exists()


def test_only_the_first_gets_it(tmp_path: Path, address: str) -> None:
    offer = Offer(str(tmp_path), address)
    assert take(5, address) is not None
    assert offer.wait(5)
    assert take(0, address) is None


def test_nobody_offers(address: str) -> None:
    assert take(0.01, address) is None


def test_one_who_leaves_before_it_is_given_does_not_count(tmp_path: Path, address: str) -> None:
    offer = Offer(str(tmp_path), address)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(address)
        asking.shutdown(socket.SHUT_RDWR)
    taken = take(5, address)
    # It may have got into the closed socket's buffer; then there is no second.
    assert taken is not None or offer.wait(5)


def _hostile(address: str, send: list[int]) -> int:
    """Process that answers once with descriptors."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(1)
    child = os.fork()
    if not child:
        connection, _ = listener.accept()
        if send:
            socket.send_fds(connection, [b"io"], send)
        else:
            connection.send(b"io")
        os._exit(0)
    listener.close()
    return child


def test_a_file_is_refused(tmp_path: Path, address: str) -> None:
    with (tmp_path / "file").open("w") as file:
        child = _hostile(address, [file.fileno()])
        with pytest.raises(NotADirectoryError):
            take(5, address)
    os.waitpid(child, 0)


def test_an_answer_without_descriptor_is_none(address: str) -> None:
    child = _hostile(address, [])
    assert take(0.05, address) is None
    os.waitpid(child, 0)


def test_more_than_one_descriptor_is_not_taken(tmp_path: Path, address: str) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    directory = os.open(tmp_path, os.O_RDONLY)
    child = _hostile(address, [directory] * 20)
    os.close(directory)
    taken = take(5, address)
    os.waitpid(child, 0)
    # The kernel gives as many as there is room for and closes the others.
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) - before <= 1 + (taken is None)
