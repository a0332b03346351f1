"""Files with given contents, in folders and in tar files."""

import io
import tarfile
from pathlib import Path


def write(folder, files):
    """`files`: path in the folder -> content. Returns the folder's path as a text."""
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder)


def write_tar(path, files, mode="w"):
    """`files`: name in the tar file -> content; mode "a" adds them."""
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
