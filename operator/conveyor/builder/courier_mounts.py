"""`python -m conveyor.builder.courier_mounts`: the init container `mounts` of a Job whose RUN mounts files.

In: what to fetch in CONVEYOR_COURIER, as a courier is told, and where to lay it out in CONVEYOR_MOUNTS. Out: files and
directories with their owners and modes in the volumes that the stage container mounts; a failure as termination message.
No code of a user has run yet when this does.
"""

import asyncio
import errno
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_endpoints import RegistryOptions
from conveyor.builder import tarformat
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_fields import Fields, invalid
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_login import credentials_of
from conveyor.builder.courier_report import reason_only
from conveyor.builder.courier_run import explain
from conveyor.builder.courier_task import CourierTask, parse_task, read_json
from conveyor.builder.failure import StageFailure
from conveyor.builder.inputs import InputProvider
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.tarformat import TarError
from conveyor.builder.unpack import Placement, Unpacker

_IO: Final = "/tmp/mounts"  # noqa: S108 - a volume of this container alone
_TERMINATION_LOG: Final = "/dev/termination-log"
_IS_THERE: Final = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
_TOP: Final = b"0"
"""The folder of a bundle's only source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something to lay out.

    Attributes:
        kind: `bundle`: `file` is an input; `seed`: the same, for a cache that is not there yet; `secret`: `file` is a path.
        to: Absolute path; its directory is there.
        mode, uid, gid: Of a secret.
    """

    kind: str
    file: str
    to: str
    mode: int = 0
    uid: int = 0
    gid: int = 0


def main(environment: Mapping[str, str]) -> int:
    """Do what the environment asks for; returns the exit code."""
    log = Path(environment.get("CONVEYOR_TERMINATION_LOG", _TERMINATION_LOG))
    io = Path(environment.get("CONVEYOR_IO", _IO))
    signal.signal(signal.SIGTERM, lambda number, frame: _terminated(log, number, frame))
    try:
        task = parse_task(environment.get("CONVEYOR_COURIER", ""))
        places = tuple(missing(parse_places(environment.get("CONVEYOR_MOUNTS", ""))))
        files = {Path(place.file).name for place in places}
        task = replace(task, inputs=tuple(it for it in task.inputs if it.file in files))
        if task.inputs:
            io.mkdir(parents=True, exist_ok=True)
            asyncio.run(_fetch(task, Exchange(str(io))))
        for place in places:
            lay_out(place, io)
    except Exception as error:  # whatever it is, the operator must hear of it
        failed = _explained(error)
        sys.stderr.write(f"conveyor: {failed.reason}: {failed.message}\n")
        log.write_bytes(reason_only(failed.reason, failed.message))
        return 1
    return 0


def parse_places(text: str) -> tuple[Place, ...]:
    """Read what is to be laid out.

    Raises:
        CourierError: TaskInvalid, with the path of the field.
    """
    fields = Fields(read_json(text), "mounts")
    items = enumerate(fields.items("places"))
    return tuple(_place(Fields(item, f"mounts.places[{index}]")) for index, item in items)


def missing(places: Iterable[Place]) -> Iterator[Place]:
    """Leave out what a cache would begin with that has begun: nothing of it is fetched."""
    seeds: set[str] = set()
    for place in places:
        if place.kind == "seed" and (place.to in seeds or os.path.lexists(place.to)):
            continue
        seeds.add(place.to)
        yield place


def lay_out(place: Place, io: Path) -> None:
    """Put one thing into its place.

    Args:
        place: What and where.
        io: The directory that inputs were fetched into.

    Raises:
        StageFailure, TarError: A bundle is not what it must be.
        CourierError: SecretInvalid: the Secret has lost its key.
    """
    if place.kind == "secret":
        _copy_secret(place)
        return
    bundle = io / place.file
    folder, _, name = place.to.rpartition("/")
    if place.kind == "seed":
        _begin_cache(bundle, folder, name)
    else:
        _unpack(bundle, folder, name)
    bundle.unlink()


def _unpack(bundle: Path, folder: str, name: str) -> None:
    placement = Placement(f"/{name}".encode(), single=not _is_directory(bundle), prefix=_TOP)
    with bundle.open("rb") as stream:
        Unpacker(Rootfs(os.fsencode(folder)), placement).run(stream)


def _begin_cache(bundle: Path, folder: str, name: str) -> None:
    """A cache appears whole; where another build was faster, its own is used."""
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as made:
        _unpack(bundle, made, name)
        try:
            Path(made, name).rename(Path(folder, name))
        except OSError as error:
            if error.errno not in _IS_THERE:
                raise


def _place(fields: Fields) -> Place:
    kind = fields.text("kind")
    if kind not in ("bundle", "seed", "secret"):
        raise invalid(f"{fields.path}.kind", "bundle, seed or secret")
    return Place(
        kind=kind,
        file=fields.text("file"),
        to=fields.text("to"),
        mode=fields.number("mode", 0),
        uid=fields.number("uid", 0),
        gid=fields.number("gid", 0),
    )


def _is_directory(bundle: Path) -> bool:
    with bundle.open("rb") as stream:
        for entry in tarformat.Reader(stream):
            if entry.name.rstrip(b"/") == _TOP:
                return entry.kind == tarformat.DIR
            if entry.name.startswith(_TOP + b"/"):
                return False
    raise CourierError("InputMissing", "what a RUN binds is not in its bundle")


def _copy_secret(place: Place) -> None:
    try:
        value = Path(place.file).read_bytes()
    except OSError as error:
        text = f"a secret of spec.secrets cannot be read: {error.strerror}"
        raise CourierError("SecretInvalid", text) from None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(place.to, flags, 0o600), "wb") as file:
        file.write(value)
    os.chown(place.to, place.uid, place.gid)
    Path(place.to).chmod(place.mode)


async def _fetch(task: CourierTask, exchange: Exchange) -> None:
    options = RegistryOptions(insecure=task.insecure, mirrors=task.mirrors, ca_file=task.ca_file)
    async with RegistryClient(credentials_of(task.docker_configs), options) as registry:
        await InputProvider(task, exchange, registry).provide(0)


def _explained(error: Exception) -> CourierError:
    if isinstance(error, StageFailure):
        return CourierError(error.reason, error.message)
    if isinstance(error, TarError):
        return CourierError("InputMissing", f"a bundle is broken: {error}")
    return explain(error)


def _terminated(log: Path, _number: int, _frame: FrameType | None) -> None:
    log.write_bytes(reason_only("Terminated", "the container was told to end before it was done"))
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(os.environ))
