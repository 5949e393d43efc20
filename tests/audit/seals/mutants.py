"""Mutants of the verifier: one comparison, operator or branch of it changed, each to be killed by the corpus (P6).

`python -m tests.audit.seals.mutants` tries all and prints the survivors.
"""

import ast
import contextlib
import copy
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.seals import verify_evidence
from tests.audit.seals import corpus
from tests.audit.seals.test_verify_evidence import RFC_8032

SOURCE = Path(verify_evidence.__file__)
# Judged by other tests, or of no consequence to a verdict: the command line, and how many findings are kept.
NOT_JUDGED = {"main", "records", "verify", "in_words", "verify_signature", "parse_key"}
SECONDS = 20
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMBINED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.Mod: ast.Mult,
}  # fmt: skip


def sites(tree: ast.AST) -> list[ast.AST]:
    """Where a mutant can differ."""
    found: list[ast.AST] = []

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and node.name in NOT_JUDGED:
            return
        kind = type(node.op) if isinstance(node, ast.BinOp) else None
        is_compared = isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED
        is_combined = kind in COMBINED and not any(isinstance(part, ast.JoinedStr) for part in ast.walk(node))
        is_branch = isinstance(node, ast.BoolOp | ast.IfExp | ast.If)
        is_negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        if is_compared or is_combined or is_branch or is_negated:
            found.append(node)
        for child in ast.iter_child_nodes(node):
            look(child)

    # The verdict is the class; what stands before are its tools.
    look(tree)
    return found


def changed(node: ast.AST) -> None:
    """The mutation of one place."""
    if isinstance(node, ast.Compare):
        node.ops[0] = COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp):
        node.op = COMBINED[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.IfExp | ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])


def mutants(every: int = 1) -> Iterator[tuple[str, ast.Module]]:
    """The source of each, with the line that differs."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    count = len(sites(tree))
    for number in range(0, count, every):
        mutant = copy.deepcopy(tree)
        node = sites(mutant)[number]
        where = getattr(node, "lineno", 0)
        changed(node)
        yield (
            f"{type(node).__name__} at {where}: {lines[where - 1].strip()}",
            ast.fix_missing_locations(mutant),
        )


def tries() -> list[Callable[[ModuleType], Any]]:
    """Everything that a verifier is asked: the whole corpus, and signatures without any package."""
    signed = []
    for one in RFC_8032:
        public, message, signature = map(bytes.fromhex, one)
        wrong = signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
        other = signature[:31] + bytes([signature[31] ^ 128]) + signature[32:]
        late = signature[:32] + (int.from_bytes(signature[32:], "little") + verify_evidence.Q).to_bytes(
            32, "little"
        )
        signed += [
            (public, signature, message), (public, wrong, message), (public, other, message), (public, late, message),
            (public, signature[:-1], message), (public[:-1], signature, message), (public, signature, b"x"),
            (b"\xff" * 32, signature, message), (bytes(31) + b"\x80", signature, message),
            (public, b"\xff" * 32 + signature[32:], message), ((2).to_bytes(32, "little"), signature, message),
            (public[:31] + bytes([public[31] ^ 128]), signature, message),
        ]  # fmt: skip
    return [
        *(partial(corpus.outcome, bundle=bundle, kept=kept) for bundle, kept in corpus.cases().values()),
        *(partial(_verified, one=one) for one in signed),
    ]


def _verified(verifier: ModuleType, one: tuple[bytes, bytes, bytes]) -> Any:
    return verifier.verify_in_python(*one)


def is_killed(mutant: ast.Module, expected: list[tuple[Callable[[ModuleType], Any], Any]]) -> bool:
    """Whether a mutant says anything else, raises, or does not come to an end."""
    module = ModuleType("mutant")
    sys.modules["mutant"] = module

    def out_of_time(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(mutant, str(SOURCE), "exec"), module.__dict__)  # noqa: S102 - our own source
            return any(ask(module) != said for ask, said in expected)
    except (Exception, SystemExit):  # noqa: BLE001 - whatever it is, no verdict came
        return True
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survivors(every: int = 1) -> tuple[list[str], int]:
    """Mutants that nobody noticed, and how many there were."""
    expected, alive, count = [(ask, ask(verify_evidence)) for ask in tries()], [], 0
    for name, mutant in mutants(every):
        count += 1
        if not is_killed(mutant, expected):
            alive.append(name)
    return alive, count


def main() -> None:
    alive, count = survivors()
    print(json.dumps({"mutants": count, "killed": round(1 - len(alive) / count, 4)}))
    print("\n".join(alive))


if __name__ == "__main__":
    main()
