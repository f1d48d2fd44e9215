"""Planning of Dockerfile images: blocks, steps, questions, digests, refusals."""

import hashlib
from collections.abc import Mapping
from typing import TypedDict, Unpack

import pytest

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage
from conveyor.config.source_line import SourceLine
from conveyor.plan.answers import Answer, BaseImage
from conveyor.plan.digest import sha256_args
from conveyor.plan.dockerfile import BlockPlan, plan_dockerfile
from conveyor.plan.dockerfile_steps import DEFAULT_PATH
from conveyor.plan.facts import Facts
from conveyor.plan.model import (
    BlockStep,
    CopySource,
    ExternalBase,
    ImageBase,
    ScratchBase,
)
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextChecksum,
    FileText,
    Question,
)

COMMIT = "c" * 40
INVALID, NOT_SUPPORTED = "InvalidDockerfile", "NotSupported"
ALPINE = BaseImageInfo(reference="alpine:3", platform="linux/amd64")
ALPINE_CONFIG: Mapping[str, object] = {"Env": ["PATH=/bin:/sbin", "LANG=C"], "WorkingDir": "/w"}


class More(TypedDict, total=False):
    """What a test may say besides the text."""

    mode: DockerfileMode
    asked: bool
    bases: Mapping[str, Mapping[str, object]]
    args: Mapping[str, str]
    target: str
    dependency_args: Mapping[str, str]


class Project:
    """Files and base images that answer the planner's questions, and what was asked."""

    def __init__(self, files: Mapping[str, str], bases: Mapping[str, Mapping[str, object]]) -> None:
        self.files = files
        self.bases = bases
        self.asked: list[frozenset[Question]] = []

    def plan(
        self,
        image: DockerfileImage,
        *,
        project_dir: str = "",
        dependency_args: Mapping[str, str] | None = None,
        mode: DockerfileMode = DockerfileMode.BUILDKIT,
        asked: bool = False,
    ) -> tuple[BlockPlan, ...]:
        answers: dict[Question, Answer] = {}
        for _ in range(6):
            found = plan_dockerfile(
                image,
                Facts(commit=COMMIT, answers=answers, dockerfile_mode=mode),
                project_dir=project_dir,
                dependency_args=dependency_args,
            )
            if isinstance(found, tuple):
                asks = {question for block in found for question in block.asks}
                if not (asks and asked):
                    return found
                answers |= {question: self.answer(question) for question in asks}
                continue
            self.asked.append(found)
            answers |= {question: self.answer(question) for question in found}
        raise AssertionError("questions without end")

    def answer(self, question: Question) -> Answer:
        match question:
            case FileText():
                return self.files.get(question.path)
            case BaseImageInfo():
                return BaseImage(digest="sha256:1", config=self.bases[question.reference])
            case ContextChecksum():
                text = "/".join(question.sources)
                return "" if "absent" in text else hashlib.sha256(text.encode()).hexdigest()
        raise AssertionError(question)


def plan(text: str, **more: Unpack[More]) -> tuple[BlockPlan, ...]:
    image = DockerfileImage(
        name="app",
        dockerfile="Dockerfile",
        args=more.get("args", {}),
        target=more.get("target", ""),
    )
    bases = more.get("bases", {"alpine:3": ALPINE_CONFIG})
    project = Project({"Dockerfile": text}, bases)
    return project.plan(
        image,
        dependency_args=more.get("dependency_args"),
        mode=more.get("mode", DockerfileMode.BUILDKIT),
        asked=more.get("asked", False),
    )


def steps(text: str, **more: Unpack[More]) -> tuple[BlockStep, ...]:
    """Steps of the target after its FROM."""
    return plan(text, **more)[-1].block.steps[1:]


def words(text: str, **more: Unpack[More]) -> list[tuple[str, ...]]:
    return [step.instruction.args for step in steps(text, **more)]


def refusal(text: str, **more: Unpack[More]) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        plan(text, **more)
    return caught.value.reason, caught.value.message


# --- blocks ---------------------------------------------------------------------------------------

SEED = """FROM alpine:3 AS base
RUN echo base
FROM base AS stage1
RUN echo stage1
FROM base AS stage2
RUN echo stage2
"""


def test_only_blocks_that_the_target_needs() -> None:
    base, target = plan(SEED, target="stage2")
    assert (base.name, base.base, base.depends_on) == (
        "app/stage/base",
        ExternalBase(reference="alpine:3"),
        (),
    )
    assert (target.name, target.base, target.depends_on) == (
        "app",
        ImageBase(image="app/stage/base"),
        ("app/stage/base",),
    )
    assert [step.instruction.args for step in target.block.steps] == [("base",), ("echo stage2",)]


def test_a_block_has_the_digest_of_an_image_with_that_target() -> None:
    whole = plan(SEED)
    alone = plan(SEED, target="base")
    assert whole[0].digest_components == alone[0].digest_components


def test_copies_and_unnamed_blocks() -> None:
    text = """FROM alpine:3
RUN one
FROM scratch AS two
COPY --from=0 /a /a
FROM alpine:3
COPY --from=two /a /b
COPY --from=0 /a /c
COPY --from=nginx:1.25 /a /d
"""
    first, two, target = plan(text)
    assert [first.name, two.name, target.name] == ["app/stage0", "app/stage/two", "app"]
    assert two.base == ScratchBase()
    assert target.depends_on == ("app/stage/two", "app/stage0")
    assert [step.source for step in target.block.steps[1:]] == [
        CopySource(image="app/stage/two"),
        CopySource(image="app/stage0"),
        CopySource(image="nginx:1.25", external=True),
    ]


def test_a_base_made_of_arguments() -> None:
    text = "ARG T=3\nARG I=alpine:$T\nFROM ${I}\n"
    assert plan(text)[0].base == ExternalBase(reference="alpine:3")
    assert plan(text, args={"T": "4"})[0].base == ExternalBase(reference="alpine:4")
    given = plan(text, dependency_args={"I": "repo/x:1"}, args={"I": "other"})
    assert given[0].base == ExternalBase(reference="repo/x:1")


def test_a_block_named_by_an_argument_is_part_of_the_digest() -> None:
    text = "ARG B=base\nFROM alpine:3 AS base\nRUN a\nFROM $B\nRUN b\n"
    values = [component.value for component in plan(text)[-1].digest_components]
    assert values == ["base", "RUN b", "alpine:3", "RUN a"]


def test_where_the_files_are() -> None:
    files = {
        "svc/ctx/d/Dockerfile": "FROM alpine:3\nCOPY ./a/ /b\n",
        "svc/ctx/.dockerignore": "d\n",
    }
    project = Project(files, {})
    image = DockerfileImage(name="app", dockerfile="d/Dockerfile", context="ctx")
    (block,) = project.plan(image, project_dir="svc")
    assert project.asked[0] == {
        FileText(repo="own", commit=COMMIT, path="svc/ctx/d/Dockerfile"),
        FileText(repo="own", commit=COMMIT, path="svc/ctx/d/Dockerfile.dockerignore"),
        FileText(repo="own", commit=COMMIT, path="svc/ctx/.dockerignore"),
    }
    assert project.asked[1] == {
        ContextChecksum(
            repo="own",
            commit=COMMIT,
            context="svc/ctx",
            dockerfile="d/Dockerfile",
            dockerignore="d\n!d/Dockerfile\n",
            sources=("a",),
        )
    }
    assert (block.block.context, block.block.dockerignore) == ("svc/ctx", "d\n!d/Dockerfile\n")


def test_the_ignore_file_beside_the_dockerfile_wins() -> None:
    files = {"Dockerfile": "FROM scratch\n", "Dockerfile.dockerignore": "", ".dockerignore": "a"}
    (block,) = Project(files, {}).plan(DockerfileImage(name="app", dockerfile="Dockerfile"))
    assert block.block.dockerignore == ""


# --- variables ------------------------------------------------------------------------------------


def test_the_base_image_is_asked_only_for_what_the_file_does_not_say() -> None:
    image = DockerfileImage(name="app", dockerfile="Dockerfile")
    without = Project({"Dockerfile": "FROM alpine:3\nENV A=1 B=2\nENV C=$A\nRUN $D\n"}, {})
    without.plan(image)
    assert len(without.asked) == 1
    text = "FROM alpine:3 AS a\nFROM a AS b\nENV PATH=/x:$PATH\n"
    needing = Project({"Dockerfile": text}, {"alpine:3": ALPINE_CONFIG})
    found = needing.plan(image)
    assert needing.asked[1] == {ALPINE}
    assert found[-1].block.steps[1].instruction.args == ("PATH", "/x:/bin:/sbin")


def test_environment_and_arguments_are_handed_on() -> None:
    text = """ARG G=global
FROM alpine:3 AS a
ARG G
ARG A=arg
ENV E=$A-$LANG
FROM a
ENV F=$E-$A-$G
RUN x
"""
    env, run = steps(text)
    assert env.instruction.args == ("F", "arg-C-arg-global")
    assert run.env == {"G": "global", "A": "arg"}


def test_later_of_env_and_arg_wins() -> None:
    text = "FROM scratch\nENV A=1\nARG A=2\nRUN a\nENV A=3\nRUN b\nLABEL l=$A\n"
    made = steps(text)
    assert (made[2].env, made[4].env) == ({"A": "2"}, {})
    assert made[5].instruction.args == ("l", "3")


@pytest.mark.parametrize(
    ("declared", "args", "env"),
    [
        ("ARG A", {}, {}),
        ("ARG A", {"A": "x"}, {"A": "x"}),
        ("ARG A=d", {}, {"A": "d"}),
        ("ARG A=d", {"A": ""}, {"A": ""}),
        ("ARG A=$TARGETARCH B=$A", {}, {"A": "", "B": ""}),
        ("ARG TARGETARCH\nARG A=$TARGETARCH", {}, {"TARGETARCH": "amd64", "A": "amd64"}),
        ("ARG TARGETPLATFORM=other", {}, {"TARGETPLATFORM": "other"}),
        ("ARG OUTER", {}, {"OUTER": "o"}),
        ("ARG OUTER=", {}, {"OUTER": ""}),
        ("ARG OUTER=i", {"OUTER": "given"}, {"OUTER": "given"}),
        ("ENV X=1", {"UNDECLARED": "u"}, {}),
        (
            "ENV X=1",
            {"HTTP_proxy": "p", "no_proxy": ""},
            {"HTTP_PROXY": "p", "http_proxy": "p"},
        ),
    ],
)
def test_environment_of_a_run(declared: str, args: dict[str, str], env: dict[str, str]) -> None:
    text = f"ARG OUTER=o\nFROM scratch\n{declared}\nRUN x\n"
    assert steps(text, args=args)[-1].env == env


def test_expansion_of_every_instruction() -> None:
    text = r"""FROM scratch
ENV A=a B="b c" "N $A"=1
LABEL $A=$B "x y"='$A'
WORKDIR /$A/${Z:-z}
USER ${U:-u}:$A
COPY --chown=$A:g --chmod=0${M:-644} src/$A b /d/$A/
ADD ["$A b", "/x"]
VOLUME /$A /v
EXPOSE $P ${Q:-80} 81/udp
STOPSIGNAL ${S:-TERM}
RUN echo $A "q"
CMD echo $A
ENTRYPOINT ["$A"]
HEALTHCHECK CMD $A
ONBUILD RUN $A
SHELL ["/$A"]
"""
    assert words(text) == [
        ("A", "a", "B", "b c", "N ", "1"),
        ("a", "b c", "x y", "$A"),
        ("/a/z",),
        ("u:a",),
        ("src/a", "b", "/d/a/"),
        ("a b", "/x"),
        ("/a", "/v"),
        ("80", "81/udp"),
        ("TERM",),
        ('echo $A "q"',),
        ("echo $A",),
        ("$A",),
        ("CMD", "$A"),
        ("RUN $A",),
        ("/$A",),
    ]
    assert steps(text)[4].instruction.flags == ("--chown=a:g", "--chmod=0644")


def test_the_escape_character_is_the_files_own() -> None:
    assert words("# escape=`\nFROM scratch\nENV A=`$B C=\\d\n") == [("A", "$B", "C", "\\d")]


def test_here_documents_become_text() -> None:
    text = "FROM scratch\nRUN <<EOF\na\n  b\nEOF\nRUN <<-EOF\n\ta\n\tEOF\nRUN x <<A y <<B\n1\nA\n2\nB\n"
    assert words(text) == [("a\n  b\n",), ("a\n",), ("x <<A y <<B\n1\nA\n2\nB",)]


def test_an_entrypoint_resets_a_command_unless_its_block_has_one() -> None:
    text = 'FROM scratch\nCMD a\nENTRYPOINT ["b"]\nFROM scratch\nENTRYPOINT ["b"]\nCMD a\n'
    target = 'FROM scratch AS x\nCMD a\nENTRYPOINT ["b"]\n'
    assert [step.instruction.resets_cmd for step in steps(text)] == [True, False]
    assert [step.instruction.resets_cmd for step in steps(target)] == [False, False]


def test_the_first_step_is_the_from() -> None:
    first = plan("ARG I=alpine:3\n\nFROM $I AS x\n")[0].block.steps[0].instruction
    assert (first.keyword, first.args, first.line) == ("FROM", ("alpine:3",), 3)


def test_scratch_has_dockers_path() -> None:
    assert words("FROM scratch\nENV P=$PATH\n") == [("P", DEFAULT_PATH)]


# --- digests --------------------------------------------------------------------------------------


def digest(text: str, **more: Unpack[More]) -> str:
    return sha256_args(*(one.value for one in plan(text, **more)[-1].digest_components))


def test_reference_values_of_werf() -> None:
    hello = "b9d5527ee7a7047747bce5fb5fd1d7ab2b687f141a91151620098b60c2ad0eae"
    by_arg = "ARG BASE_IMAGE=alpine:latest\nFROM ${BASE_IMAGE}\nRUN echo hello\n"
    assert digest("FROM alpine:latest\nRUN echo hello\n") == hello
    assert digest(by_arg) == hello
    assert digest(by_arg, dependency_args={"BASE_IMAGE": "ubuntu:latest"}) == (
        "573c4bd0f7480e27c266d55d3a020c7ec4acaebebf897d29cad78fded3b725c7"
    )
    chain = "FROM alpine:3.18 AS base\nRUN a\nFROM base AS b\nRUN b\n"
    assert digest(chain) == "a0ea8b9e1c3f17ed55462c50d706ef4c8bd7d4039a5c12ee086246a474fdc302"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('FROM a:1\nRUN echo "a b"\n', "FROM a:1\n# c\n\nRUN echo a b\n", True),
        ("FROM a:1\nRUN echo a\n", "FROM a:1\nrun echo a\n", False),
        ("FROM a:1\nRUN a  b\n", "FROM a:1\nRUN a b\n", False),
        (
            "FROM a:1\nARG A=1\nENV A=2\nLABEL x=$A\n",
            "FROM a:1\nARG A=1\nENV A=2\nLABEL x=1\n",
            True,
        ),
        ("FROM a:1\nRUN echo ${A^^}\n", "FROM a:1\nRUN echo ${B^^}\n", False),
        ("FROM a:1\nRUN it's\n", "FROM a:1\nRUN it's\n", True),
        ("FROM a:1\nRUN <<E\na\nE\n", "FROM a:1\nRUN <<E\nb\nE\n", True),
    ],
)
def test_what_a_digest_sees(one: str, other: str, *, same: bool) -> None:
    assert (digest(one) == digest(other)) is same


def test_hosts_and_cache_version() -> None:
    project = Project({"Dockerfile": "FROM a:1 AS x\nFROM x\n"}, {})
    image = DockerfileImage(
        name="", dockerfile="Dockerfile", add_host=("h:1",), cache_version="v", network="n"
    )
    first, second = project.plan(image)
    assert [one.value for one in first.digest_components] == ["h:1", "a:1", "v"]
    assert [one.value for one in second.digest_components] == ["h:1", "x", "h:1", "a:1", "v"]
    assert (first.name, second.name) == ("/stage/x", "")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("FROM $X\n", INVALID, ":1: FROM $X is empty; give its ARG a value or a default"),
        (
            "FROM Base\n",
            INVALID,
            ":1: FROM 'Base' is neither an earlier stage nor an image reference; write it in lower case",
        ),
        (
            "FROM a:1\nCOPY --from=:x a b\n",
            INVALID,
            ":2: COPY --from ':x' is neither an earlier stage nor an image reference",
        ),
        (
            "FROM scratch\nCOPY $X /y\n",
            INVALID,
            ":2: COPY has an empty source or destination after expansion",
        ),
        (
            "FROM scratch\nARG X=..\nCOPY a/$X/$X/b /y\n",
            INVALID,
            ":3: COPY a/../../b leads out of the build context; paths start at the context",
        ),
        (
            "FROM scratch\nARG X=a/./..\nCOPY --parents $X /y\n",
            INVALID,
            ":3: COPY --parents a/./.. names nothing below a; write a/./*",
        ),
        (
            "FROM scratch\nENV X=" + "x" * 60000 + "\nCOPY <<E /y\n$X$X$X$X$X\nE\n",
            INVALID,
            ":3: cannot expand '$X$X$X$X$X\\n': expands to more than 262144 characters",
        ),
        (
            "FROM scratch\nCOPY absent /y\n",
            INVALID,
            ":2: COPY: absent is not in the build context (the commit, without ignored files)",
        ),
        (
            "FROM scratch\nCOPY a*[ /y\n",
            INVALID,
            ":2: syntax error in pattern: a [ is not closed or empty",
        ),
        ("FROM scratch\nENV A=${B\n", INVALID, ":2: cannot expand '${B': missing '}' after '${B'"),
        (
            "FROM scratch\nENV A=${B:?needed}\n",
            INVALID,
            ":2: cannot expand '${B:?needed}': B: needed",
        ),
        ("FROM scratch\nENV $A=1\n", INVALID, ":2: a name of ENV is empty after expansion"),
        ("FROM scratch\nVOLUME $A\n", INVALID, ":2: a path of VOLUME is empty after expansion"),
        (
            "FROM scratch\nEXPOSE ${A:-x}\n",
            INVALID,
            ":2: 'x' is not a port; write PORT, PORT/udp or FIRST-LAST/tcp",
        ),
        (
            "FROM scratch\nSTOPSIGNAL $A\n",
            INVALID,
            ":2: '' is not a signal; write SIGTERM, TERM or 15",
        ),
        (
            "FROM scratch\nCOPY --chmod=${A:-8} a b\n",
            INVALID,
            ":2: --chmod=8: an octal mode is between 0 and 07777",
        ),
        ("ARG A=${\nFROM scratch\n", INVALID, ":1: cannot expand '${': missing '}' after '${'"),
        (
            "FROM --platform=windows/amd64 a:1\n",
            NOT_SUPPORTED,
            ":1: FROM --platform=windows/amd64 is not supported: stages are built in Linux containers; "
            "write linux/ARCH, or leave --platform out",
        ),
    ],
)
def test_refusals(text: str, reason: str, message: str) -> None:
    assert refusal(text) == (reason, f"Dockerfile{message}")


def test_triggers_of_a_block_are_in_the_digest_of_what_starts_from_it() -> None:
    # werf: the expressions stand in the block's own list, what they come to follows it in the list of the other one.
    text = (
        'FROM a:1 AS x\nENV N=1\nONBUILD RUN echo $N "q"\nONBUILD ENV N=2\nENV N=3\n'
        "FROM x\nRUN z\nCOPY --from=x /a /a\n"
    )
    block = plan(text)[-1]
    own = ["x", "RUN z", "COPY --from=x /a /a"]
    base = ["a:1", "ENV N=1", 'RUN echo $N "q"', "ENV N=2", "ENV N=3"]
    assert [part.value for part in block.digest_components] == [
        *own,
        *base,
        "RUN echo 1 q",
        "ENV N=2",
        *base,
    ]
    assert block.refused == ""


@pytest.mark.parametrize("platform", ["$BUILDPLATFORM", "linux/amd64", "amd64", "Linux/x86_64"])
def test_the_platform_of_the_image_may_be_said(platform: str) -> None:
    assert len(plan(f"FROM --platform={platform} alpine:3\n")) == 1


def test_an_unreachable_block_may_be_wrong_in_its_variables() -> None:
    assert len(plan("FROM scratch AS a\nENV A=${B:?x}\nFROM scratch\n")) == 1


def test_files_outside_and_missing() -> None:
    at = SourceLine(line=7)
    image = DockerfileImage(name="app", dockerfile="../Dockerfile", at=at)
    with pytest.raises(
        UserError, match=r"^werf.yaml:7: image \"app\": dockerfile '\.\./Dockerfile' lies outside"
    ):
        Project({}, {}).plan(image)
    image = DockerfileImage(name="app", dockerfile="Dockerfile", at=at)
    told = (
        f'^werf.yaml:7: image "app": `dockerfile`: there is no file Dockerfile in commit {COMMIT}; '
    )
    with pytest.raises(UserError, match=told):
        Project({}, {}).plan(image)
    with pytest.raises(UserError, match="this config has no repository"):
        plan_dockerfile(image, Facts(), project_dir="")


def test_a_target_that_is_not_there_names_the_line_of_the_config() -> None:
    image = DockerfileImage(name="app", dockerfile="Dockerfile", target="no", at=SourceLine(line=3))
    with pytest.raises(UserError) as caught:
        Project({"Dockerfile": "FROM a:1 AS one\n"}, {}).plan(image)
    assert caught.value.message == (
        "werf.yaml:3: image \"app\": `target`: Dockerfile:1: 'no' is not a valid target build stage; "
        "stages with a name: one"
    )


def test_variables_that_double_are_stopped() -> None:
    text = "FROM scratch\nENV A=0123456789\n" + "ENV A=$A$A$A$A\n" * 30
    reason, message = refusal(text)
    assert (reason, message.endswith("expands to more than 65536 characters")) == (
        "InvalidDockerfile",
        True,
    )


def test_blocks_that_double_are_stopped() -> None:
    blocks = [
        f"FROM scratch AS s{at}\n" + f"COPY --from=s{at - 1} / /\n" * 2 for at in range(1, 40)
    ]
    text = "FROM scratch AS s0\nRUN x\n" + "".join(blocks)
    reason, message = refusal(text)
    assert reason == "InvalidDockerfile"
    assert "stages build on each other in more than 500000 ways" in message


def test_the_input_of_the_planner_is_all_that_counts() -> None:
    assert plan(SEED) == plan(SEED)


def test_arguments_times_commands_are_stopped() -> None:
    text = "FROM scratch\n" + "".join(f"ARG A{at}=1\n" for at in range(2400)) + "RUN x\n" * 2400
    reason, message = refusal(text)
    assert reason == INVALID
    assert message.endswith("all instructions together hold too many or too long variables")


# --- planned, not built -----------------------------------------------------------------------------------------------


def test_a_run_that_cannot_be_built_is_hashed_and_says_why() -> None:
    plain, flagged = (
        plan(f"FROM alpine:3\nRUN {flag}true\n")[-1] for flag in ("", "--network=host ")
    )
    assert plain.refused == ""
    assert flagged.refused.startswith("Dockerfile:2: RUN --network=host is not supported")
    values = [part.value for part in flagged.digest_components]
    assert values == ["alpine:3", "RUN --network=host true"]


def test_a_mount_from_a_block_needs_it() -> None:
    text = "FROM alpine:3 AS a\nRUN a\nFROM alpine:3\nRUN --mount=from=a,target=/a true\n"
    first, second = plan(text)
    assert second.depends_on == (first.name,) == ("app/stage/a",)
    assert [part.value for part in second.digest_components] == [
        *("alpine:3", "RUN --mount=from=a,target=/a true", "alpine:3", "RUN a")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EXPOSE 1-65535\n" * 300, "all instructions together hold too many or too long variables"),
        ("ARG P=1-65535\nEXPOSE $P $P $P $P\n", "262140 ports; 196608 are all there are"),
    ],
)
def test_ports_have_a_limit(text: str, said: str) -> None:
    reason, message = refusal("FROM scratch\n" + text + "RUN x\n")
    assert (reason, message.endswith(said)) == (INVALID, True)


# --- here-documents, flags of COPY ----------------------------------------------------------------


def documents(text: str, **more: Unpack[More]) -> list[tuple[str, str]]:
    heredocs = (doc for step in steps(text, **more) for doc in step.instruction.heredocs)
    return [(doc.name, doc.content) for doc in heredocs]


def test_files_of_here_documents() -> None:
    text = (
        "FROM alpine:3\nARG A=1\nENV B='two words'\n"
        'COPY <<X b <<-"Y" <<Z /d/\n$A ${B:-c} "$LANG" \'$A\' \\$A \\n $none.\nX\n\t$A\n\t\\$\nY\nZ\n'
    )
    assert documents(text) == [
        ("X", "1 two words \"C\" '1' $A n .\n"),
        ("Y", "$A\n\\$\n"),
        ("Z", ""),
    ]
    assert words(text)[-1] == ("b", "/d/")


def test_a_body_waits_for_the_environment_of_its_base() -> None:
    project = Project(
        {"Dockerfile": "FROM alpine:3\nCOPY <<X /d\n$LANG\nX\n"}, {"alpine:3": ALPINE_CONFIG}
    )
    project.plan(DockerfileImage(name="app", dockerfile="Dockerfile"))
    assert frozenset({ALPINE}) in project.asked
    assert not any(isinstance(one, ContextChecksum) for asked in project.asked for one in asked)


def test_scripts_of_here_documents() -> None:
    text = "FROM scratch\nRUN <<-S\n\t#!/bin/x\n\t$A\nS\nRUN <<T\necho $A\nT\nRUN x <<U\n#!\nU\n"
    assert words(text) == [("/dev/pipes/S",), ("echo $A\n",), ("x <<U\n#!\nU",)]
    assert documents(text) == [("S", "#!/bin/x\n$A\n")]


def test_flags_of_copy() -> None:
    text = (
        "FROM scratch\nARG U=7\n"
        "COPY --link --parents --exclude=$U --exclude=!b --chown=$U --chmod=u=$U a/./$U /d\n"
    )
    with pytest.raises(UserError, match="--chmod=u=7: neither an octal mode"):
        steps(text)
    (_, step) = steps(text.replace("u=$U", "u=r"))
    assert step.instruction.args == ("a/./7", "/d")
    assert step.instruction.flag_values("exclude") == ("$U", "!b")
    assert step.instruction.is_set("link")
    assert step.instruction.is_set("parents")
    assert (step.instruction.flag("chown"), step.instruction.flag("chmod")) == ("7", "u=r")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("COPY <<X /d\n1\nX\n", "COPY <<X /d\n2\nX\n", False),
        ("ADD <<X /d\n1\nX\n", "ADD <<X /d\n2\nX\n", False),
        ("COPY --from=alpine:3 <<X a /d\n1\nX\n", "COPY --from=alpine:3 <<X a /d\n2\nX\n", False),
        ("RUN <<X\n#!/1\nX\n", "RUN <<X\n#!/2\nX\n", False),
        ("RUN <<X\n1\nX\n", "RUN <<X\n2\nX\n", True),
        ("RUN x <<X\n1\nX\n", "RUN x <<X\n2\nX\n", True),
    ],
)
def test_bodies_in_digests(before: str, after: str, same: bool) -> None:  # noqa: FBT001
    assert (digest(f"FROM scratch\n{before}") == digest(f"FROM scratch\n{after}")) is same


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("COPY --exclude=x a b* /d", ("a", "b*")),
        ("COPY --parents a/./b/*.c /d", ("a/b/*.c",)),
        ("COPY --parents a/**/c x/y** **/z /d", ("a/*", "x/*", "*")),
        ("COPY --parents --exclude=x ./a/./b /d", ("a/b",)),
        ("ADD a.tar.gz <<X /d\n1\nX", ("a.tar.gz",)),
    ],
)
def test_files_that_digests_cover(written: str, asked: tuple[str, ...]) -> None:
    project = Project({"Dockerfile": f"FROM scratch\n{written}\n"}, {})
    project.plan(DockerfileImage(name="app", dockerfile="Dockerfile"))
    found = [q for some in project.asked for q in some if isinstance(q, ContextChecksum)]
    assert [question.sources for question in found] == [asked]
