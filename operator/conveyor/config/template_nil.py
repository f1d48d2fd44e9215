"""Finding a bare `nil` where Go wants a command: `{{ nil }}`, `{{ if nil }}`. The template engine takes it for false.

In: the source of a template. Out: the line of the first such place. `nil` as an argument is fine.
"""

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass

from gotpl.parse.nodes import CommandNode, NilNode
from gotpl.parse.parser import parse_template

MESSAGE = "nil is not a command"


def bare_nil(source: str, functions: Collection[str]) -> int | None:
    """Return the 1-based line of the first bare nil, None when there is none.

    Args:
        source: The template.
        functions: The functions it may call.

    Raises:
        TemplateSyntaxError: The source is no template.
    """
    if "nil" not in source:
        return None
    root = parse_template(source, functions=functions)
    starts = [node.start for node in _nodes(root) if _is_bare(node)]
    return source.count("\n", 0, min(starts)) + 1 if starts else None


def _is_bare(node: CommandNode) -> bool:
    return len(node.arguments) == 1 and isinstance(node.arguments[0], NilNode)


def _nodes(root: object) -> Iterator[CommandNode]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, CommandNode):
            yield node
        if isinstance(node, tuple):
            waiting += node
        elif is_dataclass(node):
            waiting += [getattr(node, field.name) for field in fields(node)]
