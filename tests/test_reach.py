"""What counts as the code of a result: each kind of reference followed, and nothing beside it."""

import ast
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.cache import reach as reaching
from compute.cache.reach import digest, reach
from compute.cache.syntax import dump

ROOT = Path(__file__).resolve().parent.parent

# Each case: the modules of a package `planet`, each under a line `--- name`; edits that `planet.a.f` must notice; and
# edits that it must not. An edit is (module, old text, new text).
CASES = {
    "itself": (
        """
--- a
def f():
    return 1

def g():
    return 2
""",
        [
            ("a", "return 1", "return 3"),
        ],
        [
            ("a", "return 2", "return 3"),
        ],
    ),
    "layout, comments and docstrings": (
        """
--- a
'''Module.'''

def f(x=1):
    '''Text.'''
    return x + 1

class K:
    '''A class.'''
    y: int = 2
""",
        [
            ("a", "x + 1", "x - 1"),
        ],
        [
            ("a", "Module", "Other"),
            ("a", "Text.", "Another text.\n\n    More.\n    "),
            ("a", "A class", "The class"),
            ("a", "return x + 1", "# why\n    return (x   +\n            1)  # because"),
        ],
    ),
    "a called helper, and its helper": (
        """
--- a
from planet.b import g

def f():
    return g()
--- b
def g():
    return h()

def h():
    return 1

def unused():
    return 7
""",
        [
            ("b", "return 1", "return 2"),
            ("b", "return h()", "return h() + 1"),
        ],
        [
            ("b", "return 7", "return 8"),
        ],
    ),
    "a module under another name": (
        """
--- a
import planet.b as other

def f():
    return other.g()
--- b
def g():
    return 1

def h():
    return 7
""",
        [
            ("b", "return 1", "return 2"),
        ],
        [
            ("b", "return 7", "return 8"),
        ],
    ),
    "a module from its package": (
        """
--- a
from planet import b

def f():
    return b.g()
--- b
def g():
    return 1

def h():
    return 7
""",
        [
            ("b", "return 1", "return 2"),
        ],
        [
            ("b", "return 7", "return 8"),
        ],
    ),
    "a module by its full name": (
        """
--- a
import planet.b

def f():
    return planet.b.g()
--- b
def g():
    return 1

def h():
    return 7
""",
        [
            ("b", "return 1", "return 2"),
        ],
        [
            ("b", "return 7", "return 8"),
        ],
    ),
    "relative imports": (
        """
--- a
from .b import g
from . import c

def f():
    return g() + c.k()
--- b
def g():
    return 1
--- c
def k():
    return 2

def h():
    return 7
""",
        [
            ("b", "return 1", "return 5"),
            ("c", "return 2", "return 5"),
        ],
        [
            ("c", "return 7", "return 8"),
        ],
    ),
    "relative imports from a package below": (
        """
--- a
from planet.deep.d import g

def f():
    return g()
--- deep.d
from ..b import h
from . import e

def g():
    return h() + e.k
--- deep.e
k = 1
m = 7
--- b
def h():
    return 2
""",
        [
            ("b", "return 2", "return 5"),
            ("deep.e", "k = 1", "k = 5"),
        ],
        [
            ("deep.e", "m = 7", "m = 8"),
        ],
    ),
    "an import inside the function": (
        """
--- a
def f():
    from planet.b import g
    import planet.c as c
    return g() + c.k
--- b
def g():
    return 1
--- c
k = 2
m = 7
""",
        [
            ("b", "return 1", "return 5"),
            ("c", "k = 2", "k = 5"),
        ],
        [
            ("c", "m = 7", "m = 8"),
        ],
    ),
    "re-exports": (
        """
--- a
import planet
from planet import g

def f():
    return g() + planet.h()
--- __init__
from planet.b import g, other as h
--- b
from planet.c import g

def other():
    return 3
--- c
def g():
    return 1

def k():
    return 7
""",
        [
            ("c", "return 1", "return 2"),
            ("b", "return 3", "return 4"),
        ],
        [
            ("c", "return 7", "return 8"),
        ],
    ),
    "which import a name comes from": (
        """
--- a
from planet.b import g as x, h as y
import math as m

def f():
    return x() - y() + m.sin(1)
--- b
def g():
    return 1

def h():
    return 2
""",
        [
            ("a", "g as x, h as y", "h as x, g as y"),
            ("a", "import math as m", "import cmath as m"),
        ],
        [],
    ),
    "which of two imports comes last": (
        """
--- a
from planet.b import g
from planet.c import g

def f():
    return g()
--- b
g = abs
--- c
g = int
""",
        [
            ("a", "b import g\nfrom planet.c", "c import g\nfrom planet.b"),
            ("b", "abs", "max"),
            ("c", "int", "max"),
        ],
        [],
    ),
    "constants": (
        """
--- a
BASE = 2
LIMIT = BASE * 3
OTHER = LIMIT + 7

def f():
    return LIMIT
""",
        [
            ("a", "* 3", "* 4"),
            ("a", "BASE = 2", "BASE = 5"),
        ],
        [
            ("a", "LIMIT + 7", "LIMIT + 8"),
        ],
    ),
    "the type of a constant": (
        """
--- a
LIMIT = 1

def f():
    return LIMIT
""",
        [
            ("a", "= 1", "= 1.0"),
            ("a", "= 1", "= True"),
            ("a", "= 1", "= '1'"),
            ("a", "= 1", "= b'1'"),
            ("a", "= 1", "= 1j"),
        ],
        [
            ("a", "LIMIT = 1", "LIMIT = 0x1"),
        ],
    ),
    "tuple targets, annotations, augmented assignment, changes in place": (
        """
--- a
ONE, (TWO, *REST) = make()
THREE: int = 3
THREE += 4
TABLE = {}
TABLE['x'] = 5
TABLE.y.z = 6
FOUR = 7

def make():
    return 1, (2, 3)

def f():
    return TWO + THREE + TABLE['x']
""",
        [
            ("a", "1, (2, 3)", "1, (9, 3)"),
            ("a", "+= 4", "+= 9"),
            ("a", "= 5", "= 9"),
            ("a", "z = 6", "z = 9"),
        ],
        [
            ("a", "FOUR = 7", "FOUR = 8"),
        ],
    ),
    "a constant that a loop fills": (
        """
--- a
TABLE = {}
for i in range(3):
    TABLE[i] = i
OTHER = {}
for j in range(4):
    OTHER[j] = j

def f():
    return TABLE
""",
        [
            ("a", "range(3)", "range(5)"),
            ("a", "TABLE[i] = i", "TABLE[i] = -i"),
        ],
        [
            ("a", "range(4)", "range(5)"),
        ],
    ),
    "a constant that a function sets": (
        """
--- a
def setup():
    global STATE
    STATE = 1

def f():
    setup()
    return g()

def g():
    return STATE
""",
        [
            ("a", "STATE = 1", "STATE = 2"),
        ],
        [],
    ),
    "classes, bases, attributes": (
        """
--- a
from planet.b import K

def f():
    return K().go()
--- b
from planet.c import Base
SIZE = 4

class K(Base):
    n = SIZE
    def go(self):
        return self.step()

class L:
    m = 7
--- c
class Base:
    def step(self):
        return helper()

def helper():
    return 1
""",
        [
            ("b", "SIZE = 4", "SIZE = 5"),
            ("b", "self.step()", "self.step() + 1"),
            ("c", "return 1", "return 2"),
        ],
        [
            ("b", "m = 7", "m = 8"),
        ],
    ),
    "annotations of arguments": (
        """
--- a
from planet.b import K
from planet import c

def f(k: K, o: 'c.O | None' = None) -> dict:
    return k.go()
--- b
class K:
    part: 'Part'
    def go(self):
        return self.part.x

class Part:
    x = 1

class L:
    m = 7
--- c
class O:
    y = 2
""",
        [
            ("b", "x = 1", "x = 3"),
            ("c", "y = 2", "y = 3"),
        ],
        [
            ("b", "m = 7", "m = 8"),
        ],
    ),
    "annotations under TYPE_CHECKING": (
        """
--- a
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from planet.b import K, L

def f(k: 'K'):
    return k.go()
--- b
class K:
    def go(self):
        return 1

class L:
    m = 7
""",
        [
            ("b", "return 1", "return 2"),
        ],
        [
            ("b", "m = 7", "m = 8"),
        ],
    ),
    "decorators and defaults": (
        """
--- a
from functools import partial
from planet.b import twice, START

@twice(partial(int))
def f(x=START):
    return x
--- b
def twice(how):
    return lambda g: lambda: 2 * g()

START = 1
""",
        [
            ("b", "2 * g()", "3 * g()"),
            ("b", "START = 1", "START = 2"),
            ("a", "twice(partial(int))", "twice(int)"),
        ],
        [],
    ),
    "nested functions, lambdas, comprehensions, values": (
        """
--- a
from planet import b

def f(items):
    def inner():
        return b.one()
    key = b.two
    return [b.three(i) for i in sorted(items, key=lambda i: b.FOUR)], map(key, items), inner
--- b
def one():
    return 1
def two(x):
    return 2
def three(x):
    return 3
FOUR = 4
FIVE = 7
""",
        [
            ("b", "return 1", "return 9"),
            ("b", "return 2", "return 9"),
            ("b", "return 3", "return 9"),
            ("b", "= 4", "= 9"),
        ],
        [
            ("b", "FIVE = 7", "FIVE = 8"),
        ],
    ),
    "definitions under conditions": (
        """
--- a
import sys
FLAG = True
if FLAG and sys.platform:
    def g():
        return 1
else:
    def g():
        return 2
if FLAG:
    X = 3
else:
    X = 4
Y = 7

def f():
    return g() + X
""",
        [
            ("a", "return 1", "return 9"),
            ("a", "return 2", "return 9"),
            ("a", "FLAG and", "not FLAG and"),
            ("a", "FLAG = True", "FLAG = False"),
            ("a", "X = 3\nelse:\n    X = 4", "X = 4\nelse:\n    X = 3"),
        ],
        [
            ("a", "Y = 7", "Y = 8"),
        ],
    ),
    "imports under conditions": (
        """
--- a
try:
    from planet.missing import g
except ImportError:
    from planet.b import g
if abs(1):
    from planet.b import h
else:
    from planet.c import h

def f():
    return g() + h()

def unrelated():
    return 7
--- b
def g():
    return 1

def h():
    return 2
--- c
def h():
    return 3
""",
        [
            ("b", "return 1", "return 9"),
            ("b", "return 2", "return 9"),
            ("c", "return 3", "return 9"),
            ("a", "abs(1)", "abs(2)"),
            ("a", "b import h\nelse:\n    from planet.c", "c import h\nelse:\n    from planet.b"),
        ],
        [
            ("a", "return 7", "return 8"),
        ],
    ),
    "a name that is defined twice": (
        """
--- a
def g():
    return 1

keep = g

def g():
    return keep() + 2

def f():
    return g()
""",
        [
            ("a", "return 1", "return 9"),
            ("a", "+ 2", "+ 9"),
        ],
        [],
    ),
    "a module that is used as a value": (
        """
--- a
from planet import b, c

def f(name):
    return getattr(b, name)() + c.g()
--- b
def g():
    return h()

def h():
    return 1
--- c
def g():
    return 2

def h():
    return 7
""",
        [
            ("b", "return 1", "return 9"),
            ("b", "return h()", "return h() + 1"),
        ],
        [
            ("c", "return 7", "return 8"),
        ],
    ),
    "a module that is kept in a constant": (
        """
--- a
import planet.b

BACK = planet.b

def f():
    return BACK.g()
--- b
def g():
    return 1
""",
        [
            ("b", "return 1", "return 9"),
        ],
        [],
    ),
    "an attribute that a module makes up": (
        """
--- a
from planet import b

def f():
    return b.thing
--- b
def __getattr__(name):
    return compute(name)

def compute(name):
    return 1
""",
        [
            ("b", "return 1", "return 9"),
        ],
        [],
    ),
    "star imports": (
        """
--- a
from planet.b import *

def f():
    return g()
--- b
from planet.c import *
--- c
def g():
    return 1
--- d
X = 7
""",
        [
            ("c", "return 1", "return 9"),
        ],
        [
            ("d", "X = 7", "X = 8"),
        ],
    ),
    "globals()": (
        """
--- a
def f(name):
    return globals()[name]()

def g():
    return 1
--- b
X = 7
""",
        [
            ("a", "return 1", "return 9"),
        ],
        [
            ("b", "X = 7", "X = 8"),
        ],
    ),
    "importlib": (
        """
--- a
import importlib

def f(name):
    return importlib.import_module('planet.' + name).g()
--- b
def g():
    return 1
""",
        [
            ("b", "return 1", "return 9"),
        ],
        [],
    ),
    "importlib under another name": (
        """
--- a
from importlib import import_module as load

def f(name):
    return load('planet.' + name).g()
--- b
def g():
    return 1
""",
        [
            ("b", "return 1", "return 9"),
        ],
        [],
    ),
    "sys.modules": (
        """
--- a
import sys

def f():
    return sys.modules['planet.b'].g()
--- b
def g():
    return 1
""",
        [
            ("b", "return 1", "return 9"),
        ],
        [],
    ),
    "what runs on import": (
        """
--- a
import planet.warm
from planet.b import g

def f():
    return g()
--- warm
import math
set_mode('fast')

def set_mode(x):
    return 1
--- b
import planet.b2
register(1)

def register(x):
    return 2

def g():
    return 3
--- b2
X = 7
""",
        [
            ("warm", "'fast'", "'slow'"),
            ("warm", "return 1", "return 9"),
            ("b", "register(1)", "register(2)"),
            ("b", "return 2", "return 9"),
        ],
        [
            ("b2", "X = 7", "X = 8"),
        ],
    ),
    "changes to another module on import": (
        """
--- a
import numpy as np
from planet.b import g

np.options["x"] = 1

def f():
    return g()
--- b
from planet import c

def g():
    return 1

c.STEP = 2
OTHER = c.STEP
--- c
STEP = 3
""",
        [
            ("a", "= 1", "= 9"),
            ("b", "STEP = 2", "STEP = 9"),
        ],
        [
            ("b", "OTHER = c.STEP", "OTHER = -c.STEP"),
        ],
    ),
    "subclasses that are found by asking": (
        """
--- a
from planet.b import Base

def f():
    return [kind().go() for kind in Base.__subclasses__()]
--- b
class Base:
    pass
--- c
from planet.b import Base

class K(Base):
    def go(self):
        return 1
""",
        [
            ("c", "return 1", "return 9"),
        ],
        [],
    ),
    "what runs on import, from a package that something else is taken from": (
        """
--- a
from planet.deep import d

def f():
    return 1
--- deep.__init__
set_mode("fast")

def set_mode(x):
    return 2
--- deep.d
set_size(3)

def set_size(x):
    return x
""",
        [
            ("deep.__init__", "fast", "slow"),
            ("deep.__init__", "return 2", "return 9"),
            ("deep.d", "(3)", "(9)"),
        ],
        [],
    ),
    "names that patterns bind": (
        """
--- a
match (1, 2, 3), {"x": 4}:
    case (ONE, *REST), {**MORE}:
        pass
    case _ as ALL:
        pass

def f():
    return g(), h(), k()

def g():
    return REST

def h():
    return MORE

def k():
    return ALL
""",
        [
            ("a", "(1, 2, 3)", "(1, 2, 4)"),
        ],
        [],
    ),
    "a name that only a pattern with a star binds": (
        """
--- a
match (1, 2):
    case (_, *REST):
        pass

def f():
    return REST
""",
        [
            ("a", "(1, 2)", "(1, 3)"),
        ],
        [],
    ),
    "a registry that a decorator fills": (
        """
--- a
from planet.b import TABLE
import planet.c

def f(name):
    return TABLE[name]()
--- b
TABLE = {}

def enter(g):
    TABLE[g.__name__] = g
    return g
--- c
from planet.b import enter

@enter
def g():
    return 1

def h():
    return 7
""",
        [
            ("c", "return 1", "return 9"),
        ],
        [
            ("c", "return 7", "return 8"),
        ],
    ),
    "a script's own block": (
        """
--- a
def f():
    return 1

if __name__ == '__main__':
    print(f())
""",
        [
            ("a", "return 1", "return 2"),
        ],
        [
            ("a", "print(f())", "print(-f())"),
        ],
    ),
    "where a result is kept": (
        """
--- a
from compute.cache import cached

def g():
    return 1

@cached(workspace=True, probe=g)
def f(workspace):
    return {'x': 2}
""",
        [
            ("a", "'x': 2", "'x': 3"),
        ],
        [
            ("a", "return 1", "return 9"),
            ("a", "(workspace=True, probe=g)", ""),
            ("a", "@cached(workspace=True, probe=g)\n", ""),
        ],
    ),
    "parameters and variables that are called like something else": (
        """
--- a
from planet import b, c

def g():
    return 7

def f(b):
    g = b.x
    return [c.k for c in g], lambda c: c.h, c.h()
--- b
x = 7
--- c
k = 7
def h():
    return 1
""",
        [
            ("c", "return 1", "return 2"),
            ("c", "k = 7", "k = 8"),
        ],
        [
            ("a", "return 7", "return 8"),
            ("b", "x = 7", "x = 8"),
        ],
    ),
    "globals behind variables of the same name": (
        """
--- a
from planet import b

def f():
    [b for b in range(3)]
    return b.x + g()

def g():
    def inner():
        global K
        K += 1
        return K
    K = 7
    return inner() + K

K = 2
--- b
x = 1
""",
        [
            ("b", "x = 1", "x = 2"),
            ("a", "\nK = 2", "\nK = 3"),
        ],
        [],
    ),
    "a default that is called like its parameter": (
        """
--- a
from planet.b import x, y

def f(x=x, *, g=lambda y=y: y):
    return x
--- b
x = 1
y = 2
""",
        [
            ("b", "x = 1", "x = 5"),
            ("b", "y = 2", "y = 5"),
        ],
        [],
    ),
    "a class body beside its methods": (
        """
--- a
from planet.b import n, m

class K:
    n = n + 1
    def m(self):
        return m

def f():
    return K
--- b
n = 1
m = 2
""",
        [
            ("b", "n = 1", "n = 5"),
            ("b", "m = 2", "m = 5"),
        ],
        [],
    ),
    "modules that import each other": (
        """
--- a
from planet.b import g

def f():
    return g()

def k():
    return 1
--- b
from planet.a import k, f
from planet.b import g as g2
from planet.c import h

def g():
    return k() + h
--- c
from planet.d import h
--- d
from planet.c import h
h = 3
""",
        [
            ("a", "return 1", "return 9"),
            ("d", "h = 3", "h = 4"),
        ],
        [],
    ),
    "a class that holds a module": (
        """
--- a
from planet.b import K

def f():
    return K.c.g()
--- b
class K:
    from planet import c
--- c
def g():
    return 1
""",
        [
            ("c", "return 1", "return 9"),
        ],
        [],
    ),
    "match statements": (
        """
--- a
from planet.b import K, L

def f(x):
    match x:
        case K(y=1):
            return 1
    return 0
--- b
class K:
    y = 1

class L:
    m = 7
""",
        [
            ("b", "y = 1", "y = 2"),
        ],
        [
            ("b", "m = 7", "m = 8"),
        ],
    ),
}


def modules(text: str) -> dict[str, str]:
    """{module: source} of a case."""
    return {name: source for name, _, source in (part.partition("\n") for part in text.split("--- ")[1:])}


def write(root: Path, sources: dict[str, str]) -> None:
    """Writes modules of the package `planet`, by name."""
    for module, text in ({"__init__": "", "deep.__init__": ""} | sources).items():
        file = root / "planet" / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def edited(sources: dict[str, str], edit: tuple[str, str, str]) -> dict[str, str]:
    module, old, new = edit
    assert sources[module].count(old) == 1, f"{old!r} stands {sources[module].count(old)} times in {module}"
    changed = sources | {module: sources[module].replace(old, new)}
    compile(changed[module], module, "exec")
    return changed


@pytest.mark.parametrize("case", CASES)
def test_an_edit_of_what_is_reached_is_noticed_and_no_other(tmp_path, case):
    text, noticed, unnoticed = CASES[case]
    sources = modules(text)
    write(tmp_path, sources)
    before = digest(["planet.a.f"], tmp_path)
    for edit in noticed:
        write(tmp_path, edited(sources, edit))
        assert digest(["planet.a.f"], tmp_path) != before, f"not noticed: {edit}"
    for edit in unnoticed:
        write(tmp_path, edited(sources, edit))
        assert digest(["planet.a.f"], tmp_path) == before, f"noticed for nothing: {edit}"
    write(tmp_path, sources)
    assert digest(["planet.a.f"], tmp_path) == before


def test_it_says_by_name_what_is_reached(tmp_path):
    sources = {
        "a": "from planet import b\n\ndef f():\n    return b.g()\n",
        "b": "def g():\n    return LIMIT, K\n\nLIMIT = 1\n\nclass K:\n    pass\n\ndef h():\n    return 2\n",
    }
    write(tmp_path, sources)
    before = reach("planet.a.f", tmp_path)
    assert list(before) == ["planet.a.f", "planet.b.K", "planet.b.LIMIT", "planet.b.g"]
    write(tmp_path, edited(sources, ("b", "LIMIT = 1", "LIMIT = 2")))
    after = reach("planet.a.f", tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"planet.b.LIMIT"}


def test_a_method_a_module_and_a_re_export_can_be_asked_for(tmp_path):
    write(
        tmp_path,
        {
            "__init__": "from planet.b import K as Kind\n",
            "b": "class K:\n    def go(self):\n        return 1\n\nX = 2\n",
        },
    )
    assert list(reach("planet.b.K.go", tmp_path)) == ["planet.b.K"]
    assert list(reach("planet.Kind", tmp_path)) == ["planet.b.K"]
    assert list(reach("planet.b", tmp_path)) == ["planet.b.*"]
    write(tmp_path, {"c": "from planet import b\n\ndef f():\n    return b.K, b.X\n"})
    assert list(reach("planet.c", tmp_path)) == ["planet.b.K", "planet.b.X", "planet.c.*"]


def test_a_single_file_is_a_package_too(tmp_path):
    (tmp_path / "moon.py").write_text("def f():\n    return X\n\nX = 1\nY = 2\n")
    assert list(reach("moon.f", tmp_path)) == ["moon.X", "moon.f"]


def test_folders_without_init_are_packages_too(tmp_path):
    (tmp_path / "planet" / "deep").mkdir(parents=True)
    (tmp_path / "planet" / "deep" / "a.py").write_text("import planet.b\n\ndef f():\n    return planet.b.X\n")
    (tmp_path / "planet" / "b.py").write_text("X = 1\n")
    assert list(reach("planet.deep.a.f", tmp_path)) == ["planet.b.X", "planet.deep.a.f"]


def test_files_that_no_import_can_name_are_left_out(tmp_path):
    write(tmp_path, {"a": "\ufeffdef f():\n    return 1\n"})
    before = reach("planet", tmp_path)
    (tmp_path / "planet" / ".#a.py").symlink_to("nobody@nowhere")  # as Emacs locks a file
    (tmp_path / "planet" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "planet" / ".ipynb_checkpoints" / "a-checkpoint.py").write_text("def (")
    assert reach("planet", tmp_path) == before and reach("planet.a.f", tmp_path)


def test_unknown_names_are_named(tmp_path):
    write(tmp_path, {"a": "def f():\n    return 1\n"})
    with pytest.raises(LookupError, match=r"no 'g' in planet\.a; it defines f"):
        reach("planet.a.g", tmp_path)
    with pytest.raises(LookupError, match="no package or module 'mars'"):
        reach("mars.a.f", tmp_path)


def test_a_source_that_cannot_be_parsed_is_named_only_when_it_is_reached(tmp_path):
    write(
        tmp_path,
        {"a": "def f():\n    return 1\n\ndef g():\n    import planet.b\n    return planet.b.x\n", "b": "def (\n"},
    )
    assert list(reach("planet.a.f", tmp_path)) == ["planet.a.f"]
    with pytest.raises(SyntaxError) as error:
        reach("planet.a.g", tmp_path)
    assert error.value.filename == "planet.b"


def test_several_names_give_one_digest_whatever_their_order(tmp_path):
    write(tmp_path, {"a": "def f():\n    return 1\n\ndef g():\n    return 2\n"})
    both = digest(["planet.a.f", "planet.a.g"], tmp_path)
    assert both == digest(["planet.a.g", "planet.a.f", "planet.a.g"], tmp_path)
    assert both not in (digest(["planet.a.f"], tmp_path), digest(["planet.a.g"], tmp_path))


def test_the_cache_is_no_part_of_a_result():
    """An edit of the cache recomputes nothing; raising `compute.cache.key.FORMAT` does."""
    for room in reaching.MACHINERY:
        place = ROOT / room.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), f"{room} is called machinery, and is not there"
    assert not any(name.startswith(tuple(reaching.MACHINERY)) for name in reach("compute.results"))


def test_the_real_package_is_followed_function_by_function(tmp_path):
    """In a copy of compute/: an edit of one function changes who reaches it, and leaves who does not."""
    shutil.copytree(ROOT / "compute", tmp_path / "compute", ignore=shutil.ignore_patterns("__pycache__"))
    names = ["norms", "census"]
    before = {name: digest([f"compute.results.{name}"], tmp_path) for name in names}
    assert before == {name: digest([f"compute.results.{name}"]) for name in names}
    file = tmp_path / "compute" / "catalog.py"
    text = file.read_text("utf-8")
    assert text.count("def row_norms(") == 1
    file.write_text(text.replace("def row_norms(", "def row_norms(unused=None, *, "), "utf-8")
    after = {name: digest([f"compute.results.{name}"], tmp_path) for name in names}
    assert after["norms"] != before["norms"] and after["census"] == before["census"]


@given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.booleans(), st.none()), st.data())
def test_different_literals_have_different_dumps(value, data):
    other = data.draw(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.booleans(), st.none()))
    same = type(value) is type(other) and repr(value) == repr(other)
    assert (dump(ast.Constant(value)) == dump(ast.Constant(other))) == same


def test_the_dump_does_not_depend_on_the_version_of_python():
    """Empty lists come and go between versions (type_params), contexts too; a golden text holds the rest."""
    tree = ast.parse("@d\ndef f(x: int = -0.0, *y) -> 'é':\n    return [x for x in y if x]\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.type_params = []
    assert dump(tree) == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x',annotation=Name(id='int'))],vararg=arg(arg='y'),"
        "defaults=[UnaryOp(op=USub(),operand=Constant(value=0.0))]),body=[Return(value=ListComp(elt=Name(id='x'),"
        "generators=[comprehension(target=Name(id='x'),iter=Name(id='y'),ifs=[Name(id='x')],is_async=0)]))],"
        "decorator_list=[Name(id='d')],returns=Constant(value='\\xe9'))])"
    )
