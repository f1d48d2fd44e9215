"""The strict reader of layers: whiteouts, opaque directories, hard links, and what it refuses."""

import gzip
import io
import tarfile

import pytest
from tests.corpus.layers import LayerError, Tree, with_layer


def layer(*members: tuple[str, str]) -> bytes:
    """A layer of (name, what): "dir/", "-> target", "= hard link", else the content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mode, data = 0o644, b""
            if what == "/":
                info.type = tarfile.DIRTYPE
            elif what.startswith(("-> ", "= ")):
                info.type = tarfile.SYMTYPE if what[0] == "-" else tarfile.LNKTYPE
                info.linkname = what.partition(" ")[2]
            else:
                data = what.encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tree(*layers: bytes) -> Tree:
    found: Tree = {}
    for one in layers:
        found = with_layer(found, one)
    return found


BASE = layer(("etc/", "/"), ("etc/a", "a"), ("etc/b", "b"), ("etc/sub/", "/"), ("etc/sub/x", "x"))


def test_layers_are_packed_or_not() -> None:
    assert (
        tree(BASE).keys()
        == tree(gzip.compress(BASE)).keys()
        == {"etc", "etc/a", "etc/b", "etc/sub", "etc/sub/x"}
    )


def test_whiteout_hides_a_file_and_a_folder_of_lower_layers() -> None:
    assert tree(BASE, layer(("etc/.wh.a", ""))).keys() == {"etc", "etc/b", "etc/sub", "etc/sub/x"}
    assert tree(BASE, layer(("etc/.wh.sub", ""))).keys() == {"etc", "etc/a", "etc/b"}


def test_whiteout_hides_nothing_of_its_own_layer() -> None:
    again = layer(("etc/sub/", "/"), ("etc/sub/y", "y"), ("etc/.wh.sub", ""))
    assert "etc/sub/y" in tree(BASE, again)
    assert "etc/sub/x" not in tree(BASE, again)


def test_opaque_folder_keeps_only_what_its_layer_has() -> None:
    opaque = layer(("etc/", "/"), ("etc/new", "n"), ("etc/.wh..wh..opq", ""))
    assert tree(BASE, opaque).keys() == {"etc", "etc/new"}


def test_file_in_the_place_of_a_folder_takes_it_away() -> None:
    assert tree(BASE, layer(("etc/sub", "now a file"))).keys() == {
        "etc",
        "etc/a",
        "etc/b",
        "etc/sub",
    }


def test_hard_links_are_one_entry_until_one_is_replaced() -> None:
    linked = tree(BASE, layer(("c", "c"), ("d", "= c")))
    assert linked["c"] is linked["d"]
    parted = with_layer(linked, layer(("d", "other")))
    assert parted["c"] is linked["c"]
    assert parted["d"] is not parted["c"]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (("/etc/x", "x"), "no path inside|not a path inside"),
        (("etc/../../x", "x"), "not a path inside"),
        (("missing/x", "x"), "is in nothing"),
        (("etc/a/x", "x"), "no directory"),
        (("x", "= nowhere"), "hard link to nothing"),
        (("etc/.wh.none", ""), "hides nothing"),
        (("etc/.wh..wh.plnk", ""), "no whiteout"),
    ],
)
def test_what_no_builder_should_write(member: tuple[str, str], said: str) -> None:
    with pytest.raises(LayerError, match=said):
        tree(BASE, layer(member))


def test_a_name_twice() -> None:
    with pytest.raises(LayerError, match="twice"):
        tree(layer(("x", "1"), ("./x", "2")))
