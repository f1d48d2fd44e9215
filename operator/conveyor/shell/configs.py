"""The werf config of a build.

In: a session and the commit. Out: `WerfConfig`, rendered and parsed once for each (repository, commit, inputs); what does not
change is remembered. The commit is the only source of files: there is no work tree that could be dirty.
"""

import hashlib
import json
from collections.abc import Mapping

from conveyor.adapters.cache import LruCache
from conveyor.adapters.configs import NAMES, ConfigSource, config_name, for_platforms
from conveyor.adapters.git_files import GitFiles
from conveyor.adapters.renderer import Renderer
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.config.commit import CommitInfo
from conveyor.config.files import Files, MemoryFiles
from conveyor.config.image_selection import select_images
from conveyor.config.model import WerfConfig
from conveyor.config.mounts import check_mounts
from conveyor.config.scope import check_scope
from conveyor.shell.remotes import check_remotes
from conveyor.shell.session import Session

_INLINE = "spec.config"


class Configs:
    """Loads configs; remembers the last ones."""

    def __init__(self) -> None:
        self._known: LruCache[str, WerfConfig] = LruCache(64)
        self._renderer = Renderer()

    async def load(self, session: Session, commit: str) -> WerfConfig:
        """Render and parse the config of a build.

        Raises:
            UserError: WerfConfigNotFound, InvalidWerfConfig, NotSupported, MountNotAllowed.
        """
        key = _key(session.build, commit)
        config = self._known.get(key)
        if config is None:
            config = await self._read(session, commit)
            self._known[key] = config
        return config

    def selected(self, config: WerfConfig, build: ImageBuild) -> tuple[str, ...]:
        """The images that are wanted."""
        if not config.images:
            raise UserError(Reason.INVALID_WERF_CONFIG, "werf.yaml describes no image")
        return select_images(config, build.spec.images)

    async def commit_env(self, session: Session, commit: str) -> Mapping[str, str]:
        """WERF_COMMIT_* as stapel stages see them (werf: commit environment inside builds)."""
        if session.git is None:
            return {}
        about = await session.git.about(commit)
        return {
            "WERF_COMMIT_HASH": commit,
            "WERF_COMMIT_TIME_HUMAN": about.human,
            "WERF_COMMIT_TIME_UNIX": str(about.date),
        }

    async def _read(self, session: Session, commit: str) -> WerfConfig:
        spec = session.build.spec
        directory = (spec.source.git.path or "").strip("/") if spec.source else ""
        files, shown = await self._files(session, commit, directory)
        path = spec.config_path or _config_path(files, session, commit, directory)
        inline = CommitInfo(hash=commit, date=0)
        source = ConfigSource(
            files=files,
            path=path,
            shown=shown,
            directory=directory,
            env=spec.env_map(),
            environment=spec.environment or "",
            commit=await session.git.about(commit) if session.git else inline,
        )
        config = for_platforms(await source.load(self._renderer), session.platforms)
        check_scope(config)
        check_mounts(config, session.pods.from_paths)
        check_remotes(config, session.build)
        return config

    async def _files(self, session: Session, commit: str, directory: str) -> tuple[Files, str]:
        """The files of the commit; an inline config stands in for werf.yaml."""
        inline = session.build.spec.config
        if session.git is None:
            return MemoryFiles({NAMES[0]: inline or ""}), _INLINE
        files = await GitFiles.open(session.git, commit, directory)
        if inline is None:
            return files, ""
        return _Overlay(files, inline), _INLINE


class _Overlay:
    """The files of a commit with another werf.yaml."""

    def __init__(self, files: Files, config: str) -> None:
        self._files = files
        self._config = config

    def get(self, path: str) -> str | None:
        return self._config if path == NAMES[0] else self._files.get(path)

    def glob(self, pattern: str) -> Mapping[str, str]:
        return self._files.glob(pattern)

    def exists(self, path: str) -> bool:
        return path == NAMES[0] or self._files.exists(path)

    def is_dir(self, path: str) -> bool:
        return self._files.is_dir(path)


def _config_path(files: Files, session: Session, commit: str, directory: str) -> str:
    if name := config_name(files):
        return name
    where = f"directory {directory!r}" if directory else "the root"
    url = session.git.shown_url if session.git else ""
    raise UserError(
        Reason.WERF_CONFIG_NOT_FOUND,
        f"there is no {' or '.join(NAMES)} in {where} of {url} at commit {commit}; "
        "set spec.source.git.path or spec.configPath, or give the config inline in spec.config",
    )


def _key(build: ImageBuild, commit: str) -> str:
    spec = build.spec
    git = spec.source.git if spec.source else None
    parts = [
        commit,
        git.url if git else "",
        (git.path if git else "") or "",
        spec.config or "",
        spec.config_path or "",
        spec.environment or "",
        sorted(spec.env_map().items()),
        sorted(credential.url for credential in spec.git_credentials),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
