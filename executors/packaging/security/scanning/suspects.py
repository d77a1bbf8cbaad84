"""What a pickle may name without suspicion, and what runs code: the words `pickles` goes by."""

from __future__ import annotations

import re

from engine.model.scans import FindingSeverity

UNKNOWN = "?"
"""Stands for a module or name that a pickle computes."""
SUFFIXES = """
.pkl .pickle .pck .joblib .dill .cloudpickle .pt .pth .ckpt .bin .p .dat .data .sav
"""
TEXT_INSTRUCTIONS = """
SHORT_BINUNICODE BINUNICODE BINUNICODE8 UNICODE STRING BINSTRING SHORT_BINSTRING
"""
CALLING_INSTRUCTIONS = "REDUCE INST OBJ NEWOBJ NEWOBJ_EX BUILD"
_RUNNING_MODULES = """
os posix nt posixpath ntpath subprocess sys socket shutil runpy importlib pty ctypes code codeop
webbrowser pickle _pickle cloudpickle dill marshal types multiprocessing threading _thread asyncio
http urllib ftplib smtplib telnetlib requests httpx aiohttp timeit trace pdb bdb cProfile profile
platform tempfile pathlib glob builtins __builtin__ __main__ commands pip site pydoc doctest signal
mmap sqlite3 linecache inspect ast concurrent zipimport pkgutil imp xmlrpc logging unittest
torch.hub torch.utils.cpp_extension
"""
_RUNNING_NAMES = """
operator.attrgetter operator.methodcaller operator.itemgetter functools.partial functools.reduce
itertools.starmap numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef
torch._dynamo.guards.GuardBuilder.get torch.utils.data.datapipes.utils.decoder.basichandlers
numpy.load torch.load joblib.load pandas.read_pickle torch.serialization.load
"""
_HARMLESS_BUILTINS = """
object set frozenset dict list tuple int float complex bool str bytes bytearray slice range type
NoneType Ellipsis NotImplemented
"""
_USUAL = """
numpy scipy sklearn collections copyreg _codecs datetime decimal fractions torch pandas
joblib.numpy_pickle xgboost lightgbm statsmodels uuid array _collections
"""
_SUSPECT = re.compile(
    "exec|eval|system|popen|load|open|import|compile|shell|command|spawn", re.IGNORECASE
)


def words(text: str) -> list[str]:
    """Return the words of a list written as text."""
    return text.split()


_MODULES = frozenset(words(_RUNNING_MODULES))
_NAMES = frozenset(words(_RUNNING_NAMES))
_BUILTINS = frozenset(words(_HARMLESS_BUILTINS))
_KNOWN = tuple(words(_USUAL))


def judge(module: str, name: str) -> FindingSeverity | None:
    """Return how bad it is that a pickle imports something; None for what models usually hold.

    A name with dots reaches through a harmless module to whatever that module has imported.
    """
    if UNKNOWN in {module, name} or "." in name:
        return FindingSeverity.CRITICAL
    root = module.partition(".")[0]
    if root in {"builtins", "__builtin__"}:
        return None if name in _BUILTINS else FindingSeverity.CRITICAL
    if f"{module}.{name}" in _NAMES or module in _MODULES or root in _MODULES:
        return FindingSeverity.CRITICAL
    usual = any(module == known or module.startswith(f"{known}.") for known in _KNOWN)
    return None if usual and not _SUSPECT.search(name) else FindingSeverity.HIGH
