"""The commands of the programs that the Go runtime's own tests run, and what those tests ask of their output.

The programs are folders of `runtime/testdata` in a toolchain. What is asked is what `runtime/*_test.go` of the same
toolchain asks, of standard output and standard error together, in the order of writing; exit codes are those of the
same program on a host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

EVERY = ("386", "amd64", "arm")
Sort = Literal["quick", "turns", "slow", "apart"]


@dataclass(frozen=True)
class Command:
    """A program and its arguments, how it ends, and what it prints.

    ``whole``: all of the output; ``starts``: its beginning; ``has``, ``lacks``: texts in it; ``counts``: regular
    expressions and how many places match. ``env``: added to the guest's environment; ``cpus``: as many as it is told
    of. ``flags``: of the build. ``old``: Go 1.21 has it too, and its tests ask for the same. ``arches``: where there
    is such a command. ``outside``: the signal that the runtime's test sends, or ``closed``: it starts the
    program without descriptors.

    ``sort``: ``quick`` ones are part of the test suite, those of ``turns`` on one arch each; ``slow`` ones belong to
    the table that `runtime_run` prints; what is ``apart`` cannot be asked of a run, for the reason ``why``.
    """

    arguments: tuple[str, ...]
    code: int = 0
    whole: str | None = None
    starts: str = ""
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    program: str = "testprog"
    flags: tuple[str, ...] = ()
    cpus: int = 2
    old: bool = False
    arches: tuple[str, ...] = EVERY
    sort: Sort = "quick"
    why: str = ""
    outside: Literal["", "SIGQUIT", "SIGIO", "closed"] = ""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        settings = [f"{name}={value}" for name, value in self.env]
        program = [self.program] if self.program != "testprog" else []
        return " ".join([*settings, *program, *self.arguments])


def _c(*arguments: str, **rest: object) -> Command:
    return Command(arguments, **rest)  # type: ignore[arg-type]


def _env(*settings: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, _, value in (setting.partition("=") for setting in settings))


def _old(*commands: Command) -> list[Command]:
    return [replace(command, old=True) for command in commands]


OK = "OK\n"
_ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n"
_LEFT = "no goroutines (main called runtime.Goexit) - deadlock!"
_BUBBLE = "fatal error: semaphore wake of synctest goroutine from outside bubble"
_LOCKED = "OS thread locking must match"

_DEADLOCKS = [
    *_old(*(_c(name, code=2, starts=_ASLEEP) for name in (
        "SimpleDeadlock", "InitDeadlock", "LockedDeadlock", "LockedDeadlock2",
    ))),
    *_old(*(_c(name, code=2, has=(_LEFT,)) for name in ("GoexitDeadlock", "GoexitExit"))),
    *_old(*(_c(name, code=2, starts=f"fatal error: {_LEFT}") for name in (
        "GoexitInPanic", "RecoveredPanicAfterGoexit", "RecoverBeforePanicAfterGoexit", "RecoverBeforePanicAfterGoexit2",
    ))),
]  # fmt: skip

_PANICS = [
    *_old(
        _c("RecursivePanic", code=2, starts="wrap: bad\npanic: again\n\n"),
        _c("RecursivePanic2", code=2, starts="first panic\nsecond panic\npanic: third panic\n\n"),
        _c("RecursivePanic3", sort="turns", code=2, starts="panic: first panic\n\n"),
        _c("RecursivePanic4", sort="turns", code=2, starts="panic: first panic [recovered]\n\tpanic: second panic\n"),
        _c("RecursivePanic5", sort="turns", code=2, starts="first panic\nsecond panic\npanic: third panic\n"),
        _c("PanicAfterGoexit", code=2, starts="panic: hello"),
        _c("GoNil", code=2, has=("go of nil func value",)),
        _c("MainGoroutineID", code=2, starts="panic: test\n\ngoroutine 1 [running]:\n"),
        _c("NoHelperGoroutines", code=2, counts=((r"goroutine \d+ \[", 1), (r"goroutine 1 \[", 1))),
        _c("Breakpoint", code=2, has=("runtime.Breakpoint(",)),
        _c("Crash", whole="".join(
            f"{who}: recovered done\n" for who in ("main", "new-thread", "second-new-thread", "main-again")
        )),
        _c("GoschedInPanic", code=2, starts="panic: errorThatGosched\n\n"),
        _c("SyscallInPanic", code=2, starts="1\n2\npanic: 3\n\n"),
        _c("PanicLoop", sort="turns", code=2, has=("panic while printing panic value",)),
        _c("PanicRace", code=2, has=("panic: crash", "PanicRace", "created by ")),
        _c("DoublePanic", sort="turns", code=2, has=("panic: XXX", "panic: YYY"), env=_env("GODEBUG=clobberfree=1")),
        _c("PanicTraceback", code=2, starts="panic: hello\n\tpanic: panic pt2\n\tpanic: panic pt1\n", counts=((
            r"(?s)main\.pt1\.func1\(.*\npanic\(.*\nmain\.pt2\.func1\(.*\npanic\(.*\nmain\.pt2\(.*\nmain\.pt1\(", 1,
        ),)),
        _c("stringconcat", sort="turns", code=2, starts="panic: " + "".join(1024 * digit for digit in "0123")),
        _c("panicOnNilAndEleSizeIsZero", sort="turns", code=2, has=("unsafe.Slice: ptr is nil and len is not zero",)),
        _c("DoubleErrorPanic", sort="turns", code=2, has=("panic while printing panic value: type",)),
        _c("DoubleStringerPanic", sort="turns", code=2, has=("panic while printing panic value: type",)),
        _c("CircularPanic", sort="turns", code=2, has=("panic while printing panic value: type",)),
        _c("NilPanic", sort="turns", code=2, has=("nil",)),
    ),
    *(
        _c(name, sort="turns", code=2, has=(
            f"panic while printing panic value: important multi-line\n\t{text} message",
        ))
        for name, text in (("ErrorPanic", "error"), ("StringerPanic", "stringer"))
    ),
    _c("StringPanic", sort="turns", code=2, has=("important multi-line\n\tstring message",)),
    _c("RepanickedPanic", sort="turns", code=2, starts="panic: message [recovered, repanicked]\n"),
    _c("RepanickedMiddlePanic", sort="turns", code=2, starts=(
        "panic: inner [recovered]\n\tpanic: middle [recovered, repanicked]\n\tpanic: outer\n"
    )),
    _c("RepanickedPanicSandwich", sort="turns", code=2, starts=(
        "panic: outer [recovered]\n\tpanic: inner [recovered]\n\tpanic: outer\n"
    )),
    _c("DoublePanicWithSameValue", sort="turns", code=2, starts="panic: message\n"),
]  # fmt: skip

_VALUES = {
    "Bool": "true", "Complex128": "32.1+10i", "Complex64": "0.11+3i", "Float32": "-93.7", "Float64": "-93.7",
    **dict.fromkeys(
        "Int Int8 Int16 Int32 Int64 Uint Uint8 Uint16 Uint32 Uint64 Uintptr".split(), "93"
    ), "String": '"Panic\n\tline two"',
}  # fmt: skip
_UNLOCKED = "\n\tfatal error: sync: unlock of unlocked mutex"
_PRINTED = [
    *(
        _c(f"panicCustom{kind}", code=2, starts=f"panic: main.My{kind}({value})", sort="turns")
        for kind, value in _VALUES.items()
    ),
    _c("panicDeferFatal", sort="turns", code=2, starts=(
        f'panic: runtime.errorString("invalid memory address or nil pointer dereference"){_UNLOCKED}'
    )),
    _c("panicDoublieDeferFatal", sort="turns", code=2, starts=(
        'panic: runtime.errorString("invalid memory address or nil pointer dereference") [recovered, repanicked]'
        + _UNLOCKED
    )),
]  # fmt: skip

_STACKS = [
    *_old(
        _c("StackOverflow", code=2, starts="runtime: goroutine stack exceeds 1474560-byte limit\n", has=(
            "fatal error: stack overflow", "runtime: sp=", "stack=[",
        )),
        _c("DeferLiveness", whole="", env=_env("GODEBUG=clobberfree=1")),
        _c("BadTraceback", code=2, has=("unexpected return pc", "called from 0xbad", "00000bad", "<main.badLR")),
    ),
    _c("FramePointerAdjust", whole="", arches=("amd64",), old=True),
    *(
        _c("TracebackAncestors", sort="quick" if depth == 5 else "turns", counts=(
            (r"goroutine [0-9]+ \[", 2), ("originating from goroutine", min(depth, 3)),
            (r"main\.recurseThenCallGo\(\.\.\.\)", 3 * min(depth, 3)), (r"main\.recurseThenCallGo\(0x", 1),
        ), has=("\nmain.recurseThenCallGo(", "\nmain.main(", "\nmain.printStack(", "\nmain.TracebackAncestors("),
           env=_env(f"GODEBUG=tracebackancestors={depth}"))
        for depth in (0, 1, 5, 50)
    ),
]  # fmt: skip

_SIGNALS = [
    *_old(
        _c("SignalExitStatus", code=128 + 15, whole=""),
        _c("Segv", code=2, has=("SIGSEGV",)),
        _c("TgkillSegv", code=2, has=("SIGSEGV",)),
        _c("AsyncPreempt", whole=OK, sort="turns"),
        _c("After1", whole="ready\n", outside="SIGIO"),
        _c("CrashDumpsAllThreads", code=128 + 6, outside="SIGQUIT", counts=((r"main\.crashDumpsAllThreadsLoop\(", 4),),
           env=_env("GOTRACEBACK=crash", "GOGC=off", "GODEBUG=asyncpreemptoff=1"), cpus=8),
        _c("SignalInVDSO", whole="success\n", sort="slow"),
    ),
    _c("Abort", code=2, has=("runtime.abort", "SIGTRAP"), lacks=("BAD",), env=_env("GOTRACEBACK=system"),
       arches=("386", "amd64"), old=True),
    _c("Abort", code=2, has=("runtime.abort", "PC="), lacks=("BAD",), env=_env("GOTRACEBACK=system"),
       arches=("arm",), old=True),
    _c("SignalBogus", whole=OK),
    _c("SignalPid1", sort="apart", why="the runtime's test begins it as the first process of a namespace of its own"),
]  # fmt: skip

_THREADS = [
    *_old(
        _c("ThreadExhaustion", code=2, starts=(
            "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion"
        )),
        _c("NumGoroutine", whole="1\n"),
        _c("LockOSThreadMain", whole=OK, env=_env("GOMAXPROCS=1")),
        _c("LockOSThreadAlt", whole=OK),
        _c("NonexistentTest", has=("unknown function: NonexistentTest",), env=_env("GOMAXPROCS=1024"), sort="slow"),
    ),
    _c("mexitSTW", whole=OK),
    _c("LockOSThreadTemplateThreadRace", whole=OK),
    _c("LockOSThreadAvoidsStatePropagation", sort="apart", why="unshare is not modelled, of which the program says so"),
    _c("LockOSThreadVgetrandom", whole=OK, sort="slow"),
    _c("PrintGOMAXPROCS", whole="8\n", cpus=8),
    _c("PrintGOMAXPROCS", whole="3\n", env=_env("GOMAXPROCS=3"), cpus=8),
    _c("SchedMetrics", whole=OK, sort="slow"),
    _c("TypelinksRace", whole=OK),
    _c("SetCgoTracebackNoCgo", whole=OK),
    _c("CheckAVX", sort="apart", arches=("amd64",), why="the engine runs VXORPS, though its CPUID tells of no AVX"),
    *(_c(f"CoroLockOSThread{name}", whole="expect: OK\nOK\n", sort="turns") for name in (
        "IterLock", "Lock", "LockIterNested", "LockIterLock", "StopLocked", "StopLockedIterNested",
    )),
    *(_c(f"CoroLockOSThread{name}", code=2, starts=f"expect: {_LOCKED}\n", counts=((_LOCKED, 2),), sort="turns")
      for name in (
        "IterLockYield", "LockIterLockYield", "LockIterYieldNewG", "LockAfterPull",
    )),
    *(_c(f"SynctestCond/{how}/{whose}_bubble", code=2, has=(_BUBBLE,), sort="turns")
      for how in ("signal", "broadcast") for whose in ("no", "other")),
    *(_c(name, sort="apart", why="needs cpu.max of a control group") for name in (
        "SetLimitThenDefaultGOMAXPROCS", "UpdateGOMAXPROCS", "DontUpdateGOMAXPROCS",
    )),
    *(_c(name, sort="apart", why="prints an execution trace for the parser inside the toolchain") for name in (
        "TraceSTW", "TraceGCSTW",
    )),
]  # fmt: skip

_COLLECTOR = [
    _c("GCFairness", whole=OK, old=True),
    _c("GCFairness2", whole=OK, old=True, sort="slow"),
    _c("GCSys", whole=OK, old=True, sort="slow"),
    _c("GCPhys", whole=OK, old=True),
    _c("GCZombie", code=2, has=("found pointer to free object",), env=_env("GODEBUG=invalidptr=0"), old=True),
    _c("GCMemoryLimit", whole=OK, cpus=4, sort="slow"),
    _c("GCMemoryLimitNoGCPercent", whole=OK, cpus=4, sort="slow"),
    _c("DetectFinalizerAndCleanupLeaks", code=2, env=_env("GODEBUG=checkfinalizers=1"), counts=(
        ("is reachable from", 2), ("is in a tiny block", 1), (r"main\.DetectFinalizerAndCleanupLeaks\(\)", 4),
        ("detected possible issues with cleanups and/or finalizers", 1),
    )),
    *(
        _c(f"{kind}Deadlock", sort="turns", code=2 if mode == "panic" else 0, has=(f"{runs}{mark}",),
           env=_env(f"GO_TEST_FINALIZER_DEADLOCK={mode}", *(("GOTRACEBACK=all",) if mode == "panic" else ())))
        for kind, runs in (("Finalizer", "runtime.runFinalizers"), ("Cleanup", "runtime.runCleanups"))
        for mode, mark in (("panic", "()"), ("stack", "()"), ("pprof_debug1", "+"), ("pprof_debug2", "()"))
    ),
    _c("concurrentMapReadWrite", code=2, starts="fatal error: concurrent map read and map write\n"),
    _c("concurrentMapIterateWrite", code=2, starts="fatal error: concurrent map iteration and map write\n"),
    _c("concurrentMapWrites", counts=((r"\A(fatal error: concurrent map writes\n|\Z)", 1),), sort="apart",
       why="whether the race is seen is left to the schedule"),
    _c("MemProf", counts=((r"\A/tmp/\S+\n\Z", 1),), old=True),
    _c("TimeProf", counts=((r"\A/tmp/\S+\n\Z", 1),), env=_env("GOTRACEBACK=crash"), sort="slow", old=True),
]  # fmt: skip

_CHECKED = ("-gcflags=all=-d=checkptr=1",)  # which compiles all of the library
_CHECKPTR = {
    "AlignmentPtr": "misaligned pointer conversion",
    **dict.fromkeys(
        ("Arithmetic", "Arithmetic2", "ArithmeticUnsafeAdd"), "pointer arithmetic result points to invalid allocation"
    ),
    "Size": "converted pointer straddles multiple allocations",
    "Small": "pointer arithmetic computed bad pointer value",
    "SliceFail": "unsafe.Slice result straddles multiple allocations",
    "StringFail": "unsafe.String result straddles multiple allocations",
}
_POINTERS = [
    *(
        _c(f"CheckPtr{name}", code=2, starts=f"fatal error: checkptr: {text}\n", flags=_CHECKED, sort="slow")
        for name, text in _CHECKPTR.items()
    ),
    *(
        _c(f"CheckPtr{name}", whole="", flags=_CHECKED, sort="slow")
        for name in ("AlignmentNoPtr", "SliceOK", "StringOK")
    ),
    _c("CheckPtrAlignmentNilPtr", whole="", flags=_CHECKED, sort="slow"),
    _c("CheckPtrAlignmentNested", code=2, flags=("-gcflags=all=-d=checkptr=2",), sort="slow", starts=(
        "fatal error: checkptr: converted pointer straddles multiple allocations\n"
    )),
]  # fmt: skip

_OTHERS = [
    *(
        replace(_c("-mode", mode, **rest), program="testexithooks", sort="turns")
        for mode, rest in {
            "simple": {"whole": "bar\nfoo\n"}, "goodexit": {"whole": "orange\napple\n"},
            "badexit": {"whole": "blub\nblix\n", "code": 1}, "exit2": {"whole": ""},
            "panics": {"code": 2, "has": ("fatal error: exit hook invoked panic", "main.testPanics")},
            "callsexit": {"code": 2, "has": ("fatal error: exit hook invoked exit",)},
        }.items()
    ),
    Command((), program="testsynctest", whole="success\n", sort="slow"),
    Command((), program="testsuid", sort="apart", why="needs a program with the set-user-ID bit"),
    Command((), program="testsyscall", sort="apart", why="needs cgo"),
    Command((), program="testfds", whole="", outside="closed", env=_env("TEST_OUTPUT=/tmp/output"), sort="turns"),
]  # fmt: skip

_LEAKS = {
    "NilRecv": ("chan receive (nil chan)",), "NilSend": ("chan send (nil chan)",),
    "SelectNoCases": ("select (no cases)",), "ChanRecv": ("chan receive",), "ChanSend": ("chan send",),
    "Select": ("select",), "WaitGroup": ("sync.WaitGroup.Wait",), "MutexStack": ("sync.Mutex.Lock",),
    "MutexHeap": ("sync.Mutex.Lock",), "Cond": ("sync.Cond.Wait",), "RWMutexRLock": ("sync.RWMutex.RLock",),
    "RWMutexLock": ("sync.Mutex.Lock",), "Mixed": ("sync.WaitGroup.Wait", "chan send"), "NoLeakGlobal": (),
    "SelectNoCasesMain": ("chan receive",),
}  # fmt: skip
_LEAKING = [
    Command(
        (name,), program="testgoroutineleakprofile", sort="turns",
        env=_env("GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1"),
        has=tuple(f"[{reason} (leaked)]:\n" for reason in reasons),
        counts=((rf"\[(?!({'|'.join(map(re.escape, reasons))}) \()[^]]*\(leaked\)\]:", 0),),
    )
    for name, reasons in _LEAKS.items()
]  # fmt: skip

COMMANDS = (
    *_DEADLOCKS, *_PANICS, *_PRINTED, *_STACKS, *_SIGNALS, *_THREADS, *_COLLECTOR, *_POINTERS, *_OTHERS, *_LEAKING,
)  # fmt: skip
