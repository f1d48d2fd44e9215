"""A werf config read, rendered and checked against the policy of its repository.

In: the files of a commit, what templates may know. Out: `WerfConfig`. The commit is the only source of files: there is no work
tree that could be dirty.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conveyor.adapters.renderer import Renderer
from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import Files
from conveyor.config.giterminism import FILE as POLICY
from conveyor.config.giterminism import check_policy, parse_policy
from conveyor.config.model import WerfConfig
from conveyor.config.parse import parse
from conveyor.config.render import told_of_rendered

NAMES = ("werf.yaml", "werf.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource:
    """One config and what its templates may know.

    Attributes:
        files: Of the commit, below `directory`.
        path: Of the config, relative to `directory`.
        shown: What errors call it; "" for the path.
        directory: The project directory in the repository, "" for its root.
        env: Environment variables; the policy says which of them templates may read.
        environment: What `.Env` is.
    """

    files: Files
    path: str
    commit: CommitInfo
    shown: str = ""
    directory: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""

    async def text(self, renderer: Renderer) -> str:
        """Return the rendered config.

        Raises:
            UserError: InvalidWerfConfig.
        """
        return await asyncio.to_thread(
            renderer.render,
            self.files,
            config_path=self.path,
            env=self.env,
            environment=self.environment,
            commit=self.commit,
        )

    async def load(self, renderer: Renderer) -> WerfConfig:
        """Return the config, rendered, parsed and checked.

        Raises:
            UserError: InvalidWerfConfig, NotSupported.
        """
        text = await self.text(renderer)
        name = self.shown or self.path
        source = await asyncio.to_thread(self.files.get, self.path) or ""
        policy = await asyncio.to_thread(lambda: parse_policy(self.files.get(POLICY)))
        try:
            config = await asyncio.to_thread(parse, text, file=name, project_dir=self.directory)
            check_policy(config, policy, file=name)
        except UserError as error:
            raise told_of_rendered(error, source) from None
        return config


def config_name(files: Files) -> str:
    """Return the config's name in these files, "" when there is none."""
    return next((name for name in NAMES if files.exists(name)), "")


def for_platforms(config: WerfConfig, platforms: tuple[str, ...]) -> WerfConfig:
    """Return the config with every image for these platforms instead of its own; () leaves them."""
    if not platforms:
        return config
    images = tuple(replace(image, platforms=platforms) for image in config.images)
    return replace(config, images=images)
