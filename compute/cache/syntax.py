"""One module's source, sorted by what it binds: which pieces of syntax give each top-level name its meaning."""

import ast
from collections import defaultdict
from collections.abc import Iterator

Chain = tuple[str, ...]  # a dotted name as it is written: ('np', 'linalg', 'norm')
Target = tuple[str, Chain]  # what an import binds: a module, and the attribute taken from it (none or one)
DECORATOR = "compute.cache.cached"  # says where a result is kept, not what it is: no part of the code
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
DEFINITIONS = SCOPES[:3]
IMPORTS = (ast.Import, ast.ImportFrom)


class Module:
    """The top level of one module, sorted by bound name; no docstrings, no `if __name__ == "__main__"`.

    bindings   {name: all syntax that binds or changes it, in order, after the conditions it stands under}
    aliases    {name: the targets that imports give it}
    effects    statements that do something on import beyond binding names: a call, a change to something imported
    decorated  {name: its decorators}, the cache's own taken off
    imports    the modules that are imported with this one;  stars: those of them imported by `*`
    whole      all statements
    """

    def __init__(self, name: str, text: str, is_package: bool):
        self.name, self._base = name, name if is_package else name.rpartition(".")[0]
        self.bindings: dict[str, list[ast.AST]] = defaultdict(list)
        self.aliases: dict[str, set[Target]] = defaultdict(set)
        self.effects: list[ast.AST] = []
        self.decorated: dict[str, list[ast.expr]] = {}
        self.imports: set[str] = set()
        self.stars: set[str] = set()
        self.whole: list[ast.stmt] = _bare(ast.parse(text, filename=name)).body
        self._sort(self.whole, [])
        for bound, pieces in list(self.bindings.items()):
            if len(pieces) == 1 and isinstance(pieces[0], IMPORTS):
                del self.bindings[bound]  # a plain import is an alias, nothing more
        for node in [node for statement in self.whole for node in own_scope(statement)]:
            if isinstance(node, DEFINITIONS) and node.decorator_list:
                self._take_off(node)

    def _sort(self, statements: list[ast.stmt], conditions: list[ast.AST]) -> None:
        """Files each statement under the names that it binds."""
        for statement in statements:
            if isinstance(statement, ast.If):
                self._sort(statement.body, [*conditions, statement.test])
                self._sort(statement.orelse, [*conditions, statement.test, ast.Constant("else")])
                continue
            own = list(own_scope(statement))
            for node in own:
                if isinstance(node, IMPORTS):
                    for bound, target in self.imported(node):
                        self.aliases[bound].add(target)
                    self.imports |= self.modules_of(node)
                    if node.names[0].name == "*":
                        self.stars.add(self._absolute(node))
                        self.effects.append(node)
            own += [node for node in ast.walk(statement) if isinstance(node, ast.Global)]
            for bound in dict.fromkeys(bound for node in own for bound in bound_by(node)):
                self.bindings[bound] += [*conditions, statement]
            changed = {
                bound for node in own if isinstance(node, ast.Attribute | ast.Subscript) for bound in bound_by(node)
            }
            if changed & self.aliases.keys() or any(isinstance(node, ast.Expr) for node in own):
                self.effects += [*conditions, statement]

    def _absolute(self, node: ast.ImportFrom) -> str:
        """The full name of the module that a `from` import names, relative ones resolved."""
        if not node.level:
            return node.module or ""
        parts = self._base.split(".")
        return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])

    def imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Target]]:
        """The names that an import binds, each with its target; a star binds none."""
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                if alias.name != "*":
                    yield alias.asname or alias.name, (self._absolute(node), (alias.name,))
            elif alias.asname:
                yield alias.asname, (alias.name, ())
            else:
                yield (top := alias.name.partition(".")[0]), (top, ())

    def modules_of(self, node: ast.Import | ast.ImportFrom) -> set[str]:
        """The modules that an import may load."""
        if isinstance(node, ast.Import):
            return {alias.name for alias in node.names}
        base = self._absolute(node)
        return {base} | {f"{base}.{alias.name}" for alias in node.names}

    def _take_off(self, statement: ast.stmt) -> None:
        """Removes the cache's decorator, notes the chains of the others."""
        kept = []
        for decorator in statement.decorator_list:
            head, *rest = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or [""]
            meant = {".".join((target, *attribute, *rest)) for target, attribute in self.aliases.get(head, ())}
            if meant != {DECORATOR}:
                kept.append(decorator)
        statement.decorator_list = kept
        self.decorated[statement.name] = kept


def dump(node: object) -> str:
    """A syntax tree as text that is the same in every version of Python: empty fields and contexts left
    out."""
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind")]
        shown = [f"{name}={dump(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({','.join(shown)})"
    if isinstance(node, list):
        return f"[{','.join(map(dump, node))}]"
    return ascii(node)  # not repr: which characters print depends on the version's Unicode tables


def dotted(node: ast.expr) -> list[str] | None:
    """The parts of a.b.c, or None where the expression is no plain chain of names."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


def _bare(tree: ast.Module) -> ast.Module:
    """Takes out docstrings, strings that stand alone, and the block that only runs as a script."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, field, None), list):
                block[:] = [line for line in block if not _is_text(line)]
    tree.body = [line for line in tree.body if not _is_script_guard(line)]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def _is_script_guard(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]), orelse=[]):
            return True
    return False


def own_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it in the same scope: not the insides of functions, classes, lambdas."""
    yield node
    if not isinstance(node, SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from own_scope(child)


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names that one node binds, deletes, or changes in place."""
    match node:
        case ast.Name(name, ast.Store() | ast.Del()) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Global(names):  # of a function: it may assign them
            yield from names
        case ast.Import(names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names if alias.name != "*")
        case ast.Attribute(value, ctx=ast.Store() | ast.Del()) | ast.Subscript(value, ctx=ast.Store() | ast.Del()):
            while isinstance(value, ast.Attribute | ast.Subscript):
                value = value.value
            if isinstance(value, ast.Name):
                yield value.id
