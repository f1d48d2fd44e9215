"""The remote sources of an ADD whose variables are replaced, or the error that names its line.

In: an ADD as written and as executed. Out: what of it is fetched from elsewhere, by place among the sources.
"""

from collections.abc import Mapping
from dataclasses import replace

from conveyor.config.dockerfile import Dockerfile, Instruction
from conveyor.config.dockerfile_model import NOT_SUPPORTED
from conveyor.config.remote_source import RemoteSource, UnsupportedSourceError, remote_sources


def step_remotes(
    parsed: Dockerfile, written: Instruction, made: Instruction, checksum: str
) -> Mapping[int, RemoteSource]:
    """Return the remote sources of a COPY or ADD.

    Args:
        parsed: The file it is in.
        written: The instruction with its flags as written.
        made: The same with variables replaced in its words.
        checksum: The value of `--checksum` with variables replaced, "" for none.

    Raises:
        UserError: InvalidDockerfile or NotSupported with the line.
    """
    kept = [flag for flag in written.flags if not flag.startswith("--checksum=")]
    flags = (*kept, f"--checksum={checksum}") if checksum else tuple(kept)
    try:
        found = remote_sources(replace(made, flags=flags), expanded=True)
    except UnsupportedSourceError as problem:
        raise parsed.error(written.line, str(problem), reason=NOT_SUPPORTED) from None
    except ValueError as problem:
        raise parsed.error(written.line, str(problem)) from None
    at = f"{parsed.file}:{written.line}"
    return {place: replace(source, at=at) for place, source in found.items()}
