"""The code that a name really reaches, function by function, read from the sources without importing them.

A *definition* is a top-level name of a module of the package: function, class or constant. From the syntax
tree of a definition every name is followed to the definitions it may mean: through imports of each form
(also inside functions), re-exports, attribute chains, decorators, defaults, annotations, base classes.
Where scoping could hide a name, both meanings count: reach may be too wide, never too narrow. What cannot
be followed counts whole:

- a module used as a value (`getattr(lattice, name)`), an attribute it does not visibly have, `import *`:
  that module;
- `globals()`, `vars()`, `eval`, `exec`: the module they stand in; `import_module`, `__import__`, `sys.modules`,
  `__subclasses__`: the package;
- what else runs on import (`np.seterr(...)`, `lattice.STEP = 2`, a definition handed to a decorator of ours): it
  counts for all of its module and for all that imports it.

Not seen: state that other modules change behind a definition's back (the house has no such globals), and
compiled code. Docstrings, comments and layout do not count, nor `if __name__ == "__main__"`, nor the
cache's own machinery below, nor how work is handed out (`compute.fleet`): otherwise every edit there would recompute
everything. `compute.cache.key.FORMAT` stands for it in each key.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from compute import paths
from compute.cache.mentions import Mentions
from compute.cache.syntax import Chain, Module, Target, dump

_ROOMS = "entries key mentions mirror origin parts reach remote store syntax versions workspaces"
_FLEET = "choice crew dispatch kept work"
MACHINERY = (
    frozenset({"compute.cache", "compute.fingerprints", "compute.fleet", "compute.integrity", "compute.paths"})
    | frozenset(f"compute.cache.{room}" for room in _ROOMS.split())
    | frozenset(f"compute.fleet.{room}" for room in _FLEET.split())
)
IN_OWN_MODULE = frozenset({"globals", "vars", "eval", "exec", "__globals__"})
IN_PACKAGE = ("importlib.import_module", "importlib.reload", "importlib.util", "sys.modules", "runpy", "pkgutil")


def reach(qualified_name: str, root: Path | None = None) -> dict[str, str]:
    """{qualified name: SHA-256 of its syntax} of all definitions reached from one name, itself included, sorted.

    The name is a definition (`compute.results.norms`) or a module (all of it); root is the folder that
    holds the package. `module.*` stands for a whole module, `module.<import>` for what runs when it is
    imported. Raises LookupError where there is no such module or no such name in it, SyntaxError where a
    source cannot be parsed.
    """
    return reach_in(sources(qualified_name.partition(".")[0], root or paths.root()), [qualified_name])


def digest(names: Iterable[str], root: Path | None = None) -> str:
    """One SHA-256 over all that the names reach together."""
    found: dict[str, str] = {}
    for package, its_names in groupby(sorted(set(names)), lambda name: name.partition(".")[0]):
        found |= reach_in(sources(package, root or paths.root()), its_names)
    return combined(found)


def combined(code: Mapping[str, str]) -> str:
    """One SHA-256 over {qualified name: digest}."""
    return hashlib.sha256("".join(f"{name} {code[name]}\n" for name in sorted(code)).encode()).hexdigest()


def sources(package: str, root: Path) -> dict[str, str]:
    """{module name: source text} of the package's files; packages end in `.__init__`.

    The texts themselves, not their dates, are what the parsed package is remembered by: an edit of the same length
    within one tick of the clock is an edit. Files that no import can name (an editor's, a notebook's) are none of it.
    Raises LookupError if there is no such package.
    """
    files = {".".join(file.relative_to(root).with_suffix("").parts): file for file in (root / package).rglob("*.py")}
    files = files or {package: root / f"{package}.py"}
    texts = {name: files[name].read_text("utf-8-sig") for name in sorted(files) if _is_module(name, files[name])}
    if not texts:
        raise LookupError(f"no package or module {package!r} in {root}")
    return texts


def _is_module(name: str, file: Path) -> bool:
    return all(map(str.isidentifier, name.split("."))) and file.is_file()


def reach_in(texts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The union of what the names reach in the given source texts, as `reach` returns it."""
    package = _package(tuple(texts.items()))
    reached = sorted(set().union(*(package.closure(name) for name in names)))
    return {place.replace(":", "."): digest for place in reached if (digest := package.look(place)[0])}


@lru_cache(maxsize=16)
def _package(texts: tuple[tuple[str, str], ...]) -> "_Package":
    return _Package(dict(texts))


class _Package:
    """One state of a package's sources, with everything learnt about it so far.

    Inside, a place is 'module:name' for a definition, 'module:*' for a whole module, 'module:<import>' for
    its effects.
    """

    def __init__(self, texts: dict[str, str]):
        self._texts = {
            name.removesuffix(".__init__"): (text, name.endswith("__init__")) for name, text in texts.items()
        }
        for name in list(self._texts):  # folders without an __init__.py are packages too
            while "." in name:
                name = name.rpartition(".")[0]
                self._texts.setdefault(name, ("", True))
        self._modules: dict[str, Module] = {}
        self._looked: dict[str, tuple[str, frozenset[str]]] = {}
        self._closures: dict[str, frozenset[str]] = {}

    def closure(self, qualified_name: str) -> frozenset[str]:
        """All places reached from a qualified name, its own included."""
        if qualified_name not in self._closures:
            reached: set[str] = set()
            fresh = self._places(qualified_name)
            while fresh:
                reached |= fresh
                fresh = set().union(*(self.look(place)[1] for place in fresh)) - reached
            self._closures[qualified_name] = frozenset(reached)
        return self._closures[qualified_name]

    def look(self, place: str) -> tuple[str, frozenset[str]]:
        """The digest of one place, empty where there is nothing, and the places that it mentions."""
        if place not in self._looked:
            self._looked[place] = self._look(*place.split(":"))
        return self._looked[place]

    def _look(self, module_name: str, name: str) -> tuple[str, frozenset[str]]:
        module = self._module(module_name)
        pieces = {"*": module.whole, "<import>": module.effects}.get(name) or module.bindings.get(name, [])
        mentions = Mentions(module, pieces)
        lines, meant = [dump(piece) for piece in pieces], set()
        for chain in sorted(mentions.chains):
            if targets := self._meanings(module, chain, mentions.aliases):
                lines.append(f"{'.'.join(chain)} is {sorted(targets)}")
                meant |= targets
        edges = {place for place in meant if ":" in place}
        if mentions.words & IN_OWN_MODULE:
            edges.add(f"{module_name}:*")
        if mentions.words & {"__import__", "__subclasses__"} or any(target.startswith(IN_PACKAGE) for target in meant):
            edges |= {f"{other}:*" for other in self._texts if other not in MACHINERY}
        edges |= self._effects(mentions.imports | {module_name})
        if name == "<import>":
            edges |= self._effects(module.imports | {module_name.rpartition(".")[0]})
            edges |= {f"{star}:*" for star in module.stars if star in self._texts}
            edges |= {f"{module_name}:{handed}" for handed in module.decorated if self._is_taken(module, handed)}
        return (hashlib.sha256("\n".join(lines).encode()).hexdigest() if pieces else ""), frozenset(edges)

    def _is_taken(self, module: Module, name: str) -> bool:
        """Whether a definition is handed, on import, to a decorator of the package, which may register it."""
        chains = Mentions(module, module.decorated[name]).chains
        return any(":" in place for chain in chains for place in self._meanings(module, chain, {}))

    def _effects(self, modules: Iterable[str]) -> set[str]:
        return {f"{name}:<import>" for name in modules if name in self._texts and name not in MACHINERY}

    def _meanings(self, module: Module, chain: Chain, local: Mapping[str, set[Target]]) -> set[str]:
        """The places, or dotted names outside the package, that a chain may mean in a module; none if local."""
        head, *rest = chain
        found = {f"{module.name}:{head}"} if head in module.bindings else set()
        for target, attribute in module.aliases.get(head, set()) | local.get(head, set()):
            found |= self._follow(target, (*attribute, *rest), set())
        return found

    def _follow(self, module_name: str, chain: Chain, seen: set[tuple[str, Chain]]) -> set[str]:
        """The places that a chain of attributes of a module may mean; all of the module where it is unclear."""
        if module_name not in self._texts or module_name in MACHINERY:
            return {".".join((module_name, *chain))}
        if not chain:
            return {f"{module_name}:*"}
        if (module_name, chain) in seen:
            return set()  # modules that import a name from each other
        seen.add((module_name, chain))
        module, (head, *rest) = self._module(module_name), chain
        found = {f"{module_name}:{head}"} if head in module.bindings else set()
        for target, attribute in module.aliases.get(head, set()):
            found |= self._follow(target, (*attribute, *rest), seen)
        if f"{module_name}.{head}" in self._texts:
            found |= self._follow(f"{module_name}.{head}", tuple(rest), seen)
        return found or {f"{module_name}:*"}

    def _places(self, qualified_name: str) -> set[str]:
        """The places that a name given from outside means; LookupError where it means none."""
        parts = qualified_name.split(".")
        for split in range(len(parts), 0, -1):
            module_name, chain = ".".join(parts[:split]), tuple(parts[split:])
            if module_name in self._texts:
                found = self._follow(module_name, chain, set())
                if chain and found == {f"{module_name}:*"}:
                    names = ", ".join(sorted(self._module(module_name).bindings)) or "nothing"
                    raise LookupError(f"no {'.'.join(chain)!r} in {module_name}; it defines {names}")
                return {place for place in found if ":" in place}
        raise LookupError(f"no module of {qualified_name!r} among {', '.join(sorted(self._texts))}")

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            text, is_package = self._texts[name]
            self._modules[name] = Module(name, text, is_package)
        return self._modules[name]
