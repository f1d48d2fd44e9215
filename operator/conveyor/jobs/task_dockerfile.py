"""The layers of a FROM block of a Dockerfile.

In: the instructions of a planned stage, and the config of the image that they find. Out: steps of the stage task
(`docs/stage-task.md`), one layer for each instruction that may change files, and the config after them. Files to be copied are
asked of the courier on the way.
"""

from collections.abc import Mapping

from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_modes import mode_changes, octal_mode
from conveyor.jobs import exports
from conveyor.jobs.step_lines import told_layers
from conveyor.jobs.task_inputs import Json, StageRun
from conveyor.jobs.task_sources import parts_with_remotes
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.image_config import Config, apply_instruction, run_command
from conveyor.plan.image_config_parts import absolute, inner, text
from conveyor.plan.model import BlockStep, DockerfileBlock


def block_layers(
    block: DockerfileBlock, run: StageRun, config: Config
) -> tuple[list[Json], Config]:
    """One layer for every instruction that may change files; the others only move the config on."""
    tasks: list[list[Json]] = []
    for step in block.steps:
        config = apply_instruction(config, step)
        tasks.append(_block_steps(step, config, block, run))
    if not any(step.told for step in block.steps):
        return [{"steps": steps} for steps in tasks if steps], config
    below, digest = run.order.parent.manifest_digest, run.order.stages[run.number].digest
    return told_layers(block.steps, tasks, below=below, digest=str(digest)), config


def _block_steps(
    step: BlockStep, config: Mapping[str, object], block: DockerfileBlock, run: StageRun
) -> list[Json]:
    if step.remotes:
        parts = parts_with_remotes(step, run)
        return [
            _copy(part, config, file or _copied_files(part, block, run)) for part, file in parts
        ]
    made = _block_step(step, config, block, run)
    return [made] if made is not None else []


def _block_step(
    step: BlockStep, config: Mapping[str, object], block: DockerfileBlock, run: StageRun
) -> Json | None:
    match step.instruction.keyword:
        case "RUN":
            command = run_command(config, step)
            return {
                "op": "exec",
                "argv": list(command.argv),
                "env": dict(command.env),
                "user": command.user,
                "workdir": command.workdir,
                **_network(step),
                **_scripts(step),
            }
        case "COPY" | "ADD":
            return _copy(step, config, _copied_files(step, block, run))
        case "WORKDIR":
            return {
                "op": "mkdir",
                "path": _workdir(config),
                "mode": 0o755,
                "user": text(inner(config).get("User")),
            }
        case _:
            return None


def _workdir(config: Mapping[str, object]) -> str:
    return absolute(inner(config), ".")


def _network(step: BlockStep) -> Json:
    """Only `none` is anything to do: `default` is the pod's own."""
    return {"network": "none"} if step.instruction.flag("network") == "none" else {}


def _scripts(step: BlockStep) -> Json:
    docs = step.instruction.heredocs
    return {"scripts": [{"name": doc.name, "text": doc.content} for doc in docs]} if docs else {}


def _copied_files(step: BlockStep, block: DockerfileBlock, run: StageRun) -> str | None:
    if len(step.instruction.args) < 2:
        return None
    if step.source and step.source.image:
        return run.fetch_bundle(exports.copy_export(step, run.stage, run.plan))
    return run.fetch_git(
        "context",
        OWN_REPOSITORY,
        commit=block.commit,
        context=block.context,
        dockerignore=block.dockerignore or None,
        dockerfile=block.dockerfile,
        sources=list(step.instruction.args[:-1]),
        **exports.selection(step.instruction),
        **({"unpack": True} if _unpacks(step.instruction) else {}),
    )


def _unpacks(instruction: Instruction) -> bool:
    """Whether local archives are unpacked: by ADD, unless it says `--unpack=false`."""
    return instruction.keyword == "ADD" and (instruction.flag("unpack") or "true").lower() == "true"


def _copy(step: BlockStep, config: Mapping[str, object], file: str | None) -> Json:
    one = step.instruction
    return {
        "op": "copy",
        **({"file": file} if file else {}),
        "sources": [
            {"pattern": source, "entries": str(index)} for index, source in enumerate(one.args[:-1])
        ],
        "keepOwner": bool(step.source and step.source.image),
        "dest": one.args[-1],
        "chown": one.flag("chown"),
        **_mode(one.flag("chmod")),
        "workdir": _workdir(config),
        **_extras(one),
    }


def _extras(one: Instruction) -> Json:
    texts = [{"name": doc.name, "text": doc.content} for doc in one.heredocs]
    # With --chmod BuildKit makes no layer of its own (moby/buildkit: dispatchCopy).
    link = one.is_set("link") and not one.flag("chmod")
    extras = {"texts": texts, "link": link, "unpack": _unpacks(one)}
    return {name: value for name, value in extras.items() if value}


def _mode(text: str) -> Json:
    """An octal mode as it is, a symbolic one as the changes of bits that it means."""
    if not text or octal_mode(text) is not None:
        return {"chmod": text}
    changes = [
        {"op": change.op, "bits": change.bits, "to": change.to, "how": change.how}
        for change in mode_changes(text)
    ]
    return {"chmod": "", "chmodChanges": changes}
