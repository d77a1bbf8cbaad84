"""Why an attempt failed, by rules on its exit: reason, signal, exit code, last lines. Pure.

The executor's own word comes first (it held the limit, so it knows), then words of the log that
programs, runtimes and kernels print, then exit codes that have a meaning, then the exception that
ended a Python program. Failures that repeat word by word are hopeless, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from engine.model.dispatches import INFRASTRUCTURE_REASONS, Attempt, AttemptState, Reason
from engine.model.remedies import Diagnosis, FailureCause

_SAME_MOST = {
    FailureCause.UNKNOWN: 2,
    FailureCause.TIMED_OUT: 2,
    FailureCause.DISK_FULL: 3,
    FailureCause.INFRASTRUCTURE: 6,
}
"""So many failures in a row that say the same are hopeless."""
_SIGKILL = 9
_NEAR_LIMIT = 0.95
_WORDS_MOST = 300

_BY_REASON = {
    Reason.OUT_OF_MEMORY: (FailureCause.OUT_OF_MEMORY, "it passed its memory limit"),
    Reason.TIMED_OUT: (FailureCause.TIMED_OUT, "it passed its time limit"),
    Reason.BAD_INPUT: (FailureCause.USER_ERROR, "it refused its input"),
    Reason.BAD_OUTPUT: (FailureCause.USER_ERROR, "it left no good outputs"),
    Reason.GATE: (FailureCause.HOPELESS, "a gate refused the model, and the same data give it"),
    Reason.ADMISSION: (FailureCause.USER_ERROR, "its cluster refused it"),
    Reason.CLUSTER_DOWN: (FailureCause.INFRASTRUCTURE, "its cluster went away"),
    **dict.fromkeys(INFRASTRUCTURE_REASONS, (FailureCause.INFRASTRUCTURE, "its cluster says so")),
}
_WORDS: Mapping[FailureCause, str] = {
    FailureCause.OUT_OF_GPU_MEMORY: (
        r"(CUDA|HIP|GPU)\b.{0,40}out of memory|out of memory.{0,40}\b(CUDA|HIP|GPU)"
        r"|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    ),
    FailureCause.OUT_OF_MEMORY: (
        r"\bMemoryError\b|OutOfMemoryError|std::bad_alloc|Cannot allocate memory"
        r"|Unable to allocate [\d.]+ \w+ for an array|cannot allocate vector of size"
        r"|oom[-_ ]?kill|Out of memory: Kill|memory exhausted|GC overhead limit exceeded"
        r"|JavaScript heap out of memory|ArrowMemoryError|DefaultCPUAllocator: (can't|not enough)"
    ),
    FailureCause.DISK_FULL: (
        r"No space left on device|\bENOSPC\b|Disk quota exceeded|not enough (free )?disk space"
        r"|database or disk is full"
    ),
    FailureCause.MISSING_INPUT: (
        r"\bFileNotFoundError\b|No such file or directory|\bNoSuchKey\b|\bNoSuchBucket\b"
        r"|does not exist: [\"'/]|Table .{1,80} (not found|doesn't exist)"
        r"|relation .{1,80} does not exist"
    ),
    FailureCause.INFRASTRUCTURE: (
        r"Temporary failure in name resolution|No route to host|Network is unreachable"
        r"|Connection (reset|refused|aborted|timed out)|\bECONN(RESET|REFUSED)\b"
        r"|Transport endpoint is not connected|Stale file handle|Input/output error"
        r"|Service Unavailable|\b50[234] (Bad Gateway|Gateway)|TooManyRequests|Too Many Requests"
        r"|uncorrectable ECC|GPU has fallen off the bus|\bXid\b.{0,20}\d|NCCL (error|timeout)"
        r"|\bSlowDown\b|TLS handshake timeout|i/o timeout"
    ),
}
_RULES = tuple((cause, re.compile(pattern, re.IGNORECASE)) for cause, pattern in _WORDS.items())
_NUMBERS = re.compile(
    r"\bsingular\b|\bLinAlgError\b|not positive[- ](semi)?definite|\binfeasible\b|\bunbounded\b"
    r"|(did not|does not|failed to) converge|\bdiverged\b"
    r"|\b(loss|gradients?|weights) (is|are|became) (nan|inf)",
    re.IGNORECASE,
)
"""Ends that numbers bring about: the same numbers bring about the same end. They count only as the
last words, for libraries warn of such things and go on."""
_IDLE_SHARE = 0.005
"""Of one processor; a task that used less until its time was over was waiting, not working."""
_EXCEPTION = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Exit|NotFound))\b")
_USER_EXCEPTIONS = frozenset(
    {
        *("SyntaxError", "IndentationError", "TabError", "NameError", "UnboundLocalError"),
        *("ImportError", "ModuleNotFoundError", "AttributeError", "TypeError", "ValueError"),
        *("KeyError", "IndexError", "LookupError", "AssertionError", "ZeroDivisionError"),
        *("NotImplementedError", "PermissionError", "IsADirectoryError", "NotADirectoryError"),
        *("UnicodeDecodeError", "UnicodeEncodeError", "JSONDecodeError", "RecursionError"),
        *("OverflowError", "FileExistsError", "NotFittedError", "ValidationError"),
        *("ParserError", "InvalidArgumentError", "ArgumentError", "BadInputError"),
    }
)
_USER_CODES = {
    2: "it was called with wrong arguments",
    64: "it was called with wrong arguments",
    126: "its command may not be run",
    127: "its command is not there",
}


def diagnose(
    attempts: Sequence[Attempt], last_lines: Sequence[str] = (), *, memory_gib_most: float = 0.0
) -> Diagnosis:
    """Return why the last of `attempts` failed.

    Args:
        attempts: Of the task in this run that ended, oldest first.
        last_lines: What the last one wrote at its end, oldest first.
        memory_gib_most: The most that any machine can give it; 0 where that is not known.
    """
    last = attempts[-1]
    found = _first_look(last, [*last_lines, last.message])
    if _is_more_than_any(last, found, memory_gib_most):
        rule = f"out of memory with {last.held.memory_gib:.3g} GiB, the most that a machine has"
        return Diagnosis(cause=FailureCause.HOPELESS, rule=rule, words=found.words)
    most = _SAME_MOST.get(found.cause)
    ended_by_cluster = last.reason in INFRASTRUCTURE_REASONS or last.state is AttemptState.LOST
    if most is not None and not ended_by_cluster:
        count = _alike(attempts, found)
        if count >= most and (found.words or found.cause is not FailureCause.UNKNOWN):
            rule = f"{count} attempts in a row ended alike: {found.cause.value}"
            return Diagnosis(cause=FailureCause.HOPELESS, rule=rule, words=found.words)
    return found


def _first_look(attempt: Attempt, lines: Sequence[str]) -> Diagnosis:
    """Return what the end of one attempt says by itself."""
    if attempt.state is AttemptState.LOST:
        return Diagnosis(cause=FailureCause.INFRASTRUCTURE, rule="it was lost with its cluster")
    if attempt.reason in _BY_REASON:
        cause, rule = _BY_REASON[attempt.reason]
        if cause is FailureCause.TIMED_OUT and _was_idle(attempt):
            cause, rule = (
                FailureCause.HOPELESS,
                "it hung: its processor was idle",
            )
        # A gate or an input that was refused is explained by the task, in its last words.
        missing = _spoken(lines) if attempt.reason is Reason.BAD_INPUT else None
        if missing is not None and missing.cause is FailureCause.MISSING_INPUT:
            return missing
        return Diagnosis(cause=cause, rule=rule, words=_short(attempt.message))
    if attempt.reason is Reason.KILLED:
        return _killed(attempt)
    return _spoken(lines) or _by_exit(attempt, lines)


def _by_exit(attempt: Attempt, lines: Sequence[str]) -> Diagnosis:
    """Return what exit code and exception say where no words are known."""
    if attempt.exit_code is not None and attempt.exit_code - 128 == _SIGKILL:
        return _killed(attempt)
    if attempt.exit_code in _USER_CODES:
        rule = f"exit code {attempt.exit_code}: {_USER_CODES[attempt.exit_code]}"
        return Diagnosis(cause=FailureCause.USER_ERROR, rule=rule, words=_short(attempt.message))
    exception = _exception(lines)
    if exception is not None:
        return exception
    said = [line for line in lines if line.strip()]
    if said and _NUMBERS.search(said[-1]) and "warning" not in said[-1].lower():
        rule = "its last words are of numbers, and the same numbers end alike"
        return Diagnosis(cause=FailureCause.HOPELESS, rule=rule, words=_short(said[-1]))
    code = "" if attempt.exit_code is None else f" {attempt.exit_code}"
    rule = f"no rule knows exit code{code}"
    return Diagnosis(cause=FailureCause.UNKNOWN, rule=rule, words=_short(said[-1]) if said else "")


def _was_idle(attempt: Attempt) -> bool:
    """Return whether an attempt used hardly any processor; 0 is what was not measured."""
    used = attempt.usage
    return used is not None and 0 < used.cpu_seconds < _IDLE_SHARE * used.duration_seconds


def _killed(attempt: Attempt) -> Diagnosis:
    """Return what a kill from outside means: of memory where it held nearly all it had."""
    used = attempt.usage.memory_gib_peak if attempt.usage else 0.0
    words = _short(attempt.message)
    if attempt.exit_code == 0:
        return Diagnosis(cause=FailureCause.UNKNOWN, rule="it ended by itself", words=words)
    if attempt.held.memory_gib > 0 and used >= _NEAR_LIMIT * attempt.held.memory_gib:
        rule = f"killed while it held {used:.3g} of {attempt.held.memory_gib:.3g} GiB"
        return Diagnosis(cause=FailureCause.OUT_OF_MEMORY, rule=rule, words=words)
    return Diagnosis(
        cause=FailureCause.INFRASTRUCTURE, rule="somebody outside killed it", words=words
    )


def _spoken(lines: Sequence[str]) -> Diagnosis | None:
    """Return the cause that the last line with known words names."""
    for line in reversed(lines):
        for cause, pattern in _RULES:
            if pattern.search(line):
                return Diagnosis(
                    cause=cause, rule=f"its log speaks of {cause.value}", words=_short(line)
                )
    return None


def _exception(lines: Sequence[str]) -> Diagnosis | None:
    """Return a user error where a Python program ended by an exception that repeats itself."""
    for line in reversed(lines):
        found = _EXCEPTION.match(line.strip())
        if found and found.group(1) in _USER_EXCEPTIONS:
            rule = f"its program ended by {found.group(1)}"
            return Diagnosis(cause=FailureCause.USER_ERROR, rule=rule, words=_short(line))
    return None


def _is_more_than_any(last: Attempt, found: Diagnosis, most: float) -> bool:
    ran_out = found.cause is FailureCause.OUT_OF_MEMORY
    return ran_out and 0 < most <= last.held.memory_gib * (1 + 1e-9)


def _alike(attempts: Sequence[Attempt], found: Diagnosis) -> int:
    """Return how many attempts at the end of the row failed as the last one did, itself included.

    Numbers in the words do not count: addresses, times and process ids differ each time.
    """
    count = 1
    for earlier in reversed(attempts[:-1]):
        if earlier.state is AttemptState.LOST:
            continue
        known = earlier.remedy.diagnosis if earlier.remedy is not None else None
        if known is None or known.cause is not found.cause:
            break
        same_code = earlier.exit_code == attempts[-1].exit_code
        if not same_code or plain(known.words) != plain(found.words):
            break
        count += 1
    return count


def plain(words: str) -> str:
    """Return words without the numbers in them, which differ each time."""
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", words)


def _short(line: str) -> str:
    return line.strip()[:_WORDS_MOST]
