"""Planning one stapel image: walk its stages from `from` to the last one.

In: a `StapelImage`, its mappings at their commits, the images it is built from. Out: its `PlannedStage`s
(werf-semantics appendix B). Raises `Waiting` when the walk cannot go on before a question is answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from conveyor.config.model import Mount, StapelImage
from conveyor.config.model_image_config import DockerInstructions
from conveyor.plan import dependencies, labels
from conveyor.plan.answers import Patch
from conveyor.plan.chain import Chain
from conveyor.plan.dependency_values import FoundValues, find_values
from conveyor.plan.image_spec import add_image_spec
from conveyor.plan.imports import Found, find_imports
from conveyor.plan.inquiry import Inquiry, Unknowable
from conveyor.plan.mappings import MappingCommit, patch_of, patch_text
from conveyor.plan.model import Component, ExternalBase, PlannedImage, PlannedStage, StageWork
from conveyor.plan.model_sources import GitArchive, GitPatch
from conveyor.plan.questions import Question
from conveyor.plan.stages import (
    GIT_USER_STAGES,
    PATCH_STAGES,
    StageName,
    commands_of,
    dependencies_of,
    imports_of,
    is_git_stage,
    is_user_stage,
    stages_of,
    tasks_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an image needs to know of the rest of the config.

    Attributes:
        project: Value of the label `werf`.
        build_cache_version: `build.cacheVersion`.
        images: The images it needs, planned for its platform, by their names in werf.yaml.
        keep_entrypoint_with_cmd: A CMD of `docker:` leaves the ENTRYPOINT of the base (as werf does).
    """

    project: str
    build_cache_version: str
    images: Mapping[str, PlannedImage]
    inquiry: Inquiry
    keep_entrypoint_with_cmd: bool = False


def walk_stages(image: StapelImage, chain: Chain, around: Surroundings) -> tuple[PlannedStage, ...]:
    """Plan the stages of an image whose mappings are located in `chain`.

    Raises:
        Waiting: A question is open.
        UserError: The image asks for something that cannot be done.
    """
    walk = _Walk(image, chain, around)
    if image.base_internal:
        chain.entrypoint = around.images[image.base].entrypoint
    for name in stages_of(image):
        walk.step(name)
    return tuple(chain.stages)


@dataclass(frozen=True, slots=True)
class _Walk:
    image: StapelImage
    chain: Chain
    around: Surroundings

    def step(self, name: StageName) -> None:
        """Plan one stage, or leave it out when it is empty."""
        if name in PATCH_STAGES:
            self._patch_stage(name)
            return
        if name == "imageSpec" and self.image.image_spec is not None:
            add_image_spec(self.chain, self.image.image_spec, self.around.project)
            return
        if name == "dockerInstructions" and self.image.docker is not None:
            self.chain.entrypoint = self._entrypoint(self.image.docker)
        found, values = self._imports(name), self._values(name)
        work = self._work(name, found, values)
        own = found.question or values.question
        depends = own or self._dependencies(name, work)
        if not isinstance(depends, Component):
            self._add_unknown(name, work, self.chain.question or depends)
        elif self.chain.question:
            self._add_unknown(name, work, self.chain.question, depends)
        else:
            self._add(name, depends, work)

    def _entrypoint(self, docker: DockerInstructions) -> tuple[str, ...] | None:
        """Return the ENTRYPOINT that the stage has to have; None where its digest or nobody tells."""
        if docker.entrypoint:
            return None
        if not docker.cmd:
            return self.chain.entrypoint
        before = self.chain.stages[-1].stored
        if not self.around.keep_entrypoint_with_cmd:
            return ()
        return before.entrypoint if before else None

    def _add(self, name: StageName, depends: Component, work: StageWork) -> None:
        self.chain.add(name, depends, work, git=is_git_stage(self.image, name))

    def _add_unknown(
        self, name: StageName, work: StageWork, question: Question, known: Component | None = None
    ) -> None:
        git = is_git_stage(self.image, name)
        self.chain.add_unknown(name, work, question, git=git, known=known)

    def _dependencies(self, name: StageName, work: StageWork) -> Component | Question:
        try:
            return self._known_dependencies(name, work)
        except Unknowable as unknowable:
            return unknowable.question

    def _known_dependencies(self, name: StageName, work: StageWork) -> Component | Question:
        image, mappings, inquiry = self.image, self.chain.mappings, self.around.inquiry
        if name == "from":
            return self._from()
        if is_user_stage(name):
            return dependencies.user_dependencies(image, name, mappings, inquiry)
        if name == "gitArchive":
            return dependencies.archive_dependencies(mappings)
        if name == "dockerInstructions" and image.docker is not None:
            return dependencies.instructions_dependencies(image.docker)
        return dependencies.import_dependencies(work.imports, work.dependencies)

    def _from(self) -> Component | Question:
        image, base = self.image, self.image.base
        if image.base_internal:
            last = self.around.images[base].stages[-1]
            if last.content_digest is None:
                # A stage without a content digest is Unknown and says what it waits for.
                return last.question or _defect(base)
            base = last.content_digest
        latest = dependencies.latest_base(image, self.chain.platform, self.around.inquiry)
        if latest is not None:
            self.chain.base = ExternalBase(reference=base, digest=latest.digest)
        return dependencies.from_dependencies(
            image,
            base=base,
            build_cache_version=self.around.build_cache_version,
            base_id=latest.id if latest else "",
        )

    def _imports(self, name: StageName) -> Found:
        return find_imports(
            imports_of(self.image, name),
            self.around.images,
            self.around.inquiry,
            self.chain.platform,
        )

    def _values(self, name: StageName) -> FoundValues:
        wanted = dependencies_of(self.image, name)
        return find_values(wanted, self.around.images, self.chain.facts)

    def _work(self, name: StageName, found: Found, values: FoundValues) -> StageWork:
        image, mappings = self.image, self.chain.mappings
        return StageWork(
            archives=self._archives() if name == "gitArchive" else (),
            patches=self._patches() if name in GIT_USER_STAGES else (),
            imports=found.imports,
            dependencies=values.dependencies,
            commands=commands_of(image, name),
            tasks=tasks_of(image, name),
            instructions=image.docker if name == "dockerInstructions" else None,
            keep_entrypoint_with_cmd=self.around.keep_entrypoint_with_cmd,
            mounts=self._mounts(),
            emptied=tuple(mount.to for mount in image.mounts) if name == "from" else (),
            labels={
                labels.WERF: self.around.project,
                **(labels.mount_labels(image.mounts) if name == "from" else {}),
                **(labels.git_labels(mappings) if is_git_stage(image, name) else {}),
                **found.labels,
                **values.labels,
            },
        )

    def _mounts(self) -> tuple[Mount, ...]:
        """The base image's first: what is mounted there stays mounted (werf: the config can only add)."""
        image = self.image
        inherited: tuple[Mount, ...] = ()
        if image.base_internal:
            inherited = self.around.images[image.base].stages[0].work.mounts
        return tuple({mount.to: mount for mount in (*inherited, *image.mounts)}.values())

    def _archives(self) -> tuple[GitArchive, ...]:
        return tuple(
            GitArchive(mapping=item.mapping, commit=item.commit, single=item.single)
            for item in self.chain.mappings
        )

    def _patches(self) -> tuple[GitPatch, ...]:
        return tuple(
            GitPatch(
                mapping=item.mapping,
                from_commit=self._carried(item),
                commit=item.commit,
                single=item.single,
            )
            for item in self.chain.mappings
        )

    def _carried(self, item: MappingCommit) -> str:
        return self.chain.carried.get(item.paramshash, item.commit)

    def _patch_stage(self, name: StageName) -> None:
        """GitCache and gitLatestPatch: empty unless some mapping is behind, and then by size or by content."""
        if all(self._carried(item) == item.commit for item in self.chain.mappings):
            return
        work = StageWork(
            patches=self._patches(),
            mounts=self._mounts(),
            labels={
                labels.WERF: self.around.project,
                **labels.git_labels(self.chain.mappings),
            },
        )
        if self.chain.question is not None:
            if name == "gitLatestPatch":
                self.chain.add_unknown(name, work, self.chain.question, git=True)
            return
        depends = self._patch_dependencies(name)
        if depends is not None:
            self._add(name, depends, work)

    def _patch_dependencies(self, name: StageName) -> Component | None:
        """Return what the patch stage depends on, None when it is empty."""
        patches = self._diff()
        if name == "gitCache":
            size = sum(patch.size for patch in patches)
            small = size < dependencies.PATCH_UNIT
            return None if small else dependencies.cache_dependencies(size)
        if all(patch.empty for patch in patches):
            return None
        texts = [
            patch_text(item, patch)
            for item, patch in zip(self.chain.mappings, patches, strict=True)
        ]
        return dependencies.patch_dependencies(texts)

    def _diff(self) -> tuple[Patch, ...]:
        inquiry = self.around.inquiry
        behind = [
            (item, self._carried(item))
            for item in self.chain.mappings
            if self._carried(item) != item.commit
        ]
        inquiry.note(*(item.patch_from(commit) for item, commit in behind))
        return tuple(patch_of(item, self._carried(item), inquiry) for item in self.chain.mappings)


def _defect(base: str) -> Question:
    raise AssertionError(f"the last stage of {base!r} has neither a content digest nor a question")
