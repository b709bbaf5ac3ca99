"""Start of a bundle: unpack the archive that holds this file as `__main__.py`, once, and run a slice by its code.

Only the standard library is used here, and nothing of this project.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile
import zlib
from pathlib import Path

NEEDED = ("torch", "numpy", "scipy", "numba", "cv2", "PIL", "filelock", "safetensors")
UNPACKED = "unpacked"


def start(archive: Path, words: list[str]) -> None:
    """Replace this process by one that runs the bundle's code.

    Args:
        words: of the command line; `--work DIR` among them says where the bundle is unpacked.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  (the machine of the bundle has any Python)
        sys.exit(f"error: Python {sys.version.split()[0]}, expected 3.11 or newer")
    if absent := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(f"error: no module {', '.join(absent)} for {sys.executable}; install it, or name another Python")
    try:
        with zipfile.ZipFile(archive) as bundle:
            identity = bundle.comment.decode()
            work = _folder(words, identity)
            if not (work / UNPACKED).is_file():
                bundle.extractall(work)
                (work / UNPACKED).write_text(identity)
            elif (found := (work / UNPACKED).read_text()) != identity:
                sys.exit(
                    f"error: {work}: holds another bundle ({found[:12]}), expected {identity[:12]}; name another --work"
                )
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        sys.exit(f"error: {archive}: a damaged bundle ({error}); copy it again")
    except OSError as error:
        sys.exit(f"error: {error.filename or archive}: {(error.strerror or str(error)).lower()}; name another --work")
    paths = [str(work / "code"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["DFINET_BENCH_CACHE"] = str(work / "cache")
    sys.stdout.flush()
    # -P: nothing in the working folder, such as another checkout, stands before the bundle's code.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "bench.bundle.slice", str(work), *words])  # noqa: S606


def _folder(words: list[str], identity: str) -> Path:
    """The folder that `--work DIR` names, which is taken out of the words; else one of the bundle's own."""
    if "--work" in words[:-1]:
        place = words.index("--work")
        _, given = words.pop(place), words.pop(place)
        return Path(given).resolve()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).resolve() / "dfinet-bench" / "bundles" / identity[:12]


if __name__ == "__main__":
    start(Path(__file__).resolve().parent, sys.argv[1:])
