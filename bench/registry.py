"""The mechanism by which models, metrics and the like are registered under a name and found again."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from bench.characters import refuse_steering, show_steering
from bench.errors import PluginError, RequestError, UnknownNameError
from bench.input_files import regular_file

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind. Asking for a name that is not there answers with the nearest ones."""

    def __init__(self, kind: str, *, advice: str = "") -> None:
        """Registry of one kind of thing.

        Args:
            advice: clause that ends the answer to an unknown name.
        """
        self.kind, self.advice = kind, advice
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Register `entry` under `name`.

        Raises:
            RequestError: when the name is taken, or holds a character that is not printed.
        """
        refuse_steering(name, f"the name of a {self.kind}")
        if name in self._entries:
            raise RequestError(f"two {self.kind}s are called {name!r}; rename one")
        self._entries[name] = entry
        return entry

    def get(self, name: str) -> T:
        """The entry called `name`.

        Raises:
            UnknownNameError: with suggestions, when there is none.
        """
        if name in self._entries:
            return self._entries[name]
        raise self.no_entry(name)

    def no_entry(self, name: str) -> UnknownNameError:
        """The error about a name that is not there, with suggestions."""
        return UnknownNameError(unknown(self.kind, name, self._entries, advice=self.advice))

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


PLUGIN_ADVICE = "for a {kind} of a plugin, name its file with --plugin, or in the suite's plugins"


def unknown(kind: str, name: str, known: Iterable[str], *, advice: str = "") -> str:
    """The sentence that answers an unknown name: the nearest known ones, those that hold it, or all of them.

    >>> unknown("dataset", "NUDT", ["NUDT-SIRST", "IRSTD-1k"])
    "no dataset is called 'NUDT'; did you mean NUDT-SIRST?"
    """
    names, wanted = sorted(known), name.casefold()
    folded = {n.casefold(): n for n in names}
    close = difflib.get_close_matches(wanted, folded, n=3, cutoff=0.6)
    close = close or [one for one in folded if len(wanted) > 2 and wanted in one][:3]
    if close:
        more = f" {advice[:1].upper()}{advice[1:]}" if advice else ""
        return f"no {kind} is called {name!r}; did you mean {' or '.join(folded[c] for c in close)}?{more}"
    return f"no {kind} is called {name!r}; there are {', '.join(names) or 'none'}{f'; {advice}' if advice else ''}"


def discover(packages: tuple[str, ...]) -> None:
    """Import every public module of the packages, so that what they register is there."""
    for package in packages:
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(module.__path__, prefix=f"{package}."):
            if not found.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(found.name)


@contextmanager
def refusing_exit(what: str) -> Iterator[None]:
    """Make an error of a `sys.exit` in a plugin's function: it ends the function, not the command.

    Raises:
        PluginError: that names `what` called it.
    """
    try:
        yield
    except SystemExit as error:
        raise PluginError(f"{what} called sys.exit({error.code!r}); let it return or raise an error") from None


_PLUGINS: dict[str, Path] = {}
"""Module names of the plugins that were loaded, with their files."""


def loaded_plugins() -> tuple[Path, ...]:
    """The users' own files that were loaded, so that another process can load them, too."""
    return tuple(_PLUGINS.values())


def load_plugin(path: Path) -> None:
    """Import a user's own file, so that what it registers stands beside ours; a file that is loaded already is left.

    Raises:
        FileNotFoundError: when there is no such file.
        RequestError: when it is no Python file, or fails.
    """
    regular_file(path, "plugin", expected="a Python file, as my_net.py")
    name = f"bench_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin {path}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a plugin that calls sys.exit ends itself, not the command
        del sys.modules[name]
        said = show_steering((str(error) or "no reason given").splitlines()[0])
        raise RequestError(f"plugin {path}: {type(error).__name__}: {said}") from error
    _PLUGINS[name] = path.resolve()
