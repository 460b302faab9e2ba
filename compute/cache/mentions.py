"""What pieces of syntax mention from outside themselves, by the rules of scope; in doubt, too much."""

import ast
from collections import defaultdict
from collections.abc import Iterable

from compute.cache.syntax import IMPORTS, Chain, Module, Target, bound_by, dotted, own_scope


class Mentions(ast.NodeVisitor):
    """What pieces of a module's syntax mention from outside themselves: dotted chains, imports made on the
    way.

    Parameters and variables of a function hide what has their name outside; where that is in doubt (class
    bodies, comprehensions, imports), both count.
    """

    def __init__(self, module: Module, pieces: Iterable[ast.AST]):
        self._module = module
        self._hidden: list[set[str]] = []  # the variables of the functions that we are in
        self.chains: set[Chain] = set()
        self.aliases: dict[str, set[Target]] = defaultdict(set)
        self.imports: set[str] = set()
        self.words: set[str] = set()
        for piece in pieces:
            self.visit(piece)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._add((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if chain := dotted(node):
            self._add(tuple(chain))
        else:
            self.words.add(node.attr)
            self.visit(node.value)

    def _add(self, chain: Chain) -> None:
        self.words.update(chain)
        if not any(chain[0] in names for names in self._hidden):
            self.chains.add(chain)

    def visit_Global(self, node: ast.Global) -> None:
        self.chains |= {(name,) for name in node.names}

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._add((node.target.id,))
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for bound, target in self._module.imported(node):
            self.aliases[bound].add(target)
        self.imports |= self._module.modules_of(node)

    visit_ImportFrom = visit_Import

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """What a class imports is reached through the class, unseen; it counts as mentioned."""
        self.generic_visit(node)
        imports = [part for line in node.body for part in own_scope(line) if isinstance(part, IMPORTS)]
        self.chains |= {(bound,) for part in imports for bound, _ in self._module.imported(part)}

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        """Defaults, decorators and annotations stand outside of the function, its body inside."""
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        for field, part in ast.iter_fields(node):
            if field != "body":
                self._annotation(part if field == "returns" else None)
                for item in part if isinstance(part, list) else [part]:
                    if isinstance(item, ast.AST):
                        self.visit(item)
        self._hidden.append(_variables(node.args, body))
        for statement in body:
            self.visit(statement)
        self._hidden.pop()

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_arg(self, node: ast.arg | ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        self.generic_visit(node)

    visit_AnnAssign = visit_arg

    def _annotation(self, node: ast.expr | None) -> None:
        """Reads annotations that are written as strings."""
        for part in ast.walk(node) if node else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                try:
                    self.visit(ast.parse(part.value, mode="eval").body)
                except SyntaxError:
                    continue  # a Literal["q8 0"], not a type


def _variables(arguments: ast.arguments, body: list[ast.AST]) -> set[str]:
    """The names that are surely variables of a function: parameters, and what its body binds other than by
    import."""
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    own = [node for statement in body for node in own_scope(statement)]
    loose = {id(name) for node in own if isinstance(node, ast.comprehension) for name in ast.walk(node.target)}
    stated = {name for node in own if isinstance(node, ast.Global) for name in node.names}
    plain = [
        node for node in own if id(node) not in loose and not isinstance(node, (*IMPORTS, ast.Attribute, ast.Subscript))
    ]
    return {argument.arg for argument in every if argument} | {
        name for node in plain for name in bound_by(node)
    } - stated
