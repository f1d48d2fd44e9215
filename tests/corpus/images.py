"""Images of a registry as results.

In: a registry and references. Out: `Result`s. The layers of the base image are read once.
"""

from collections.abc import Sequence

from tests.cluster.registry import Registry
from tests.corpus.layers import Tree, with_layer
from tests.corpus.results import Result, result_of

BASE = "library/debian:bookworm"


class Images:
    """Reads images of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._trees: dict[tuple[str, ...], Tree] = {(): {}}
        self._base_ref = f"{registry.host}/{BASE}"
        self._base_layers = tuple(registry.layers(self._base_ref))
        self._base = self._tree(self._base_ref, self._base_layers)

    def result(self, ref: str) -> Result:
        """The result of REPO@DIGEST or REPO:TAG.

        Raises:
            LayerError: A layer is not as the specification wants it.
        """
        layers = self._registry.manifest(ref)[1]["layers"] or ()  # null where there is none
        tree = self._tree(ref, [str(layer["digest"]) for layer in layers])
        return result_of(self._registry.config(ref)["config"], tree, self._base)

    def _tree(self, ref: str, layers: Sequence[str]) -> Tree:
        known = self._base_layers
        begun = len(known) if tuple(layers[: len(known)]) == known and known in self._trees else 0
        tree = self._trees[tuple(layers[:begun])]
        for digest in layers[begun:]:
            tree = with_layer(tree, self._registry.blob(ref, digest))
        if tuple(layers) == known:
            self._trees[known] = tree
        return tree
