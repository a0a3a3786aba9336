"""Case vfork-frame: a child that shares its parent's stack must not go on in a frame that the parent comes back to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arch.linux import O_CLOEXEC, SIGCHLD, Clone, Errno
from arch.model import Arch
from asm.compiler import compile_text
from emu.backport import with_vfork
from emu.cases.model import BREAKS, HOLDS, Case, Variant, Verdict
from emu.kernel import Task
from emu.runtime.failures import Failure
from emu.runtime.goroutine import Goroutine
from emu.session import Session
from emu.shadow import Shadow
from emu.slots import told

STORY = """
To start a program, Go forked itself and let the child call execve. A fork copies the page tables, which takes long in
a large process, so in March 2017 (9e6b79a5df) amd64 went over to CLONE_VFORK and CLONE_VM: the child runs on its
parent's memory, its stack included, while the parent waits. The stub rawVforkSyscall was ready for that: it keeps its
return address in a register, which each process has for itself.

The function around it was not. forkAndExecInChild went on in one and the same frame twice: the child first, shuffling
descriptors up to execve, then the parent. A compiler does not know of calls that return twice. Where the child's path
begins, a local that only the parent's path still needs looks dead, and its slot may be given to a local of the child's.
The child writes it; the parent wakes with its registers as they were and that word changed. Go's compiler of the time
gave every named local a slot of its own, and so nothing happened yet; issue 20732 called it scary.

In June 2017 (67e53754) the function became two. forkAndExecInChild1 holds all the child does, and returns at once in
the parent, to a frame that the child never runs in. AfterFork is now called in the outer function, which must be told
whether BeforeFork was: a pipe may have failed before. So `locked` is a result, and so is the pipe p, which the parent
still needs. The same day 87adaf4c marked the inner function noinline: an inliner would put the frames together again.

Here a compiler that shares slots translates both shapes. The program is started; it is not there (the child writes
the error number to a pipe and exits with 253); the fork is refused; id maps are wanted (then Go does not use vfork);
a pipe fails before BeforeFork. The rule: after it wakes, the parent reads no byte of its stack that its child wrote
last. Where it does, it goes on as if maps were wanted, with a descriptor that is the child's counter: its own input
is closed.
"""

_VFORK, _FORK = int(Clone.VFORK | Clone.VM) | SIGCHLD, int(Clone.NEWUSER) | SIGCHLD

# What the caller does: a pipe on which the child tells why it could not execute the program, and the wait for its end.
FORK_EXEC = f"""
func forkExec(argv0, argv, maps) (pid, err, status):
    pid = 0
    code = 0
    ended = 0
    p0, p1, err = forkExecPipe()
    if err goto .done
    pid, err = forkAndExecInChild(argv0, argv, maps, p1)
    RawSyscall(SYS_close, p1, 0, 0)
    if err goto .close
    n, _, err = RawSyscall(SYS_read, p0, &code, word)
    unless n goto .wait                         # the pipe was closed by execve
    err = code[0]
.wait:
    RawSyscall(SYS_wait4, pid, &ended, 0)
.close:
    RawSyscall(SYS_close, p0, 0, 0)
.done:
    status = ended[0]
    var code[8]
    var ended[8]

func forkExecPipe() (r, w, err):
    _, _, err = RawSyscall(SYS_pipe2, &pair, {O_CLOEXEC}, 0)
    r = pair[0]
    w = pair[1]
    var pair[8]

nosplit noinline func AfterForkInChild():
    afterforkinchild()
"""

_TO_THE_FORK = f"""
    flags = {_VFORK}                               # CLONE_VFORK, CLONE_VM
    unless mapped goto .ready
    flags = {_FORK}                            # CLONE_NEWUSER: the child waits for its parent, so no vfork
    p0, p1, err1 = forkExecPipe()
    if err1 goto .return
.ready:
    beforefork()
"""
_CLONE = """
    r1, err1 = rawVforkSyscall(SYS_clone, flags)
"""
_CHILD = """
    AfterForkInChild()
    unless mapped goto .mapped
    RawSyscall(SYS_close, p1, 0, 0)
    _, _, err1 = RawSyscall(SYS_read, p0, &err2, word)
    if err1 goto .childerror
.mapped:
    nextfd = pipe + 1                           # out of the way of 0, 1 and 2, which are set one by one
    i = 2
.shuffle:
    RawSyscall(SYS_dup2, i, nextfd, 0)
    RawSyscall(SYS_dup2, nextfd, i, 0)
    RawSyscall(SYS_close, nextfd, 0, 0)
    nextfd = nextfd + 1
    i = i + -1
    if i goto .shuffle
    _, _, err1 = RawSyscall(SYS_execve, argv0, argv, 0)
.childerror:
    why = err1
    RawSyscall(SYS_write, pipe, &why, word)
.exit:
    RawSyscall(SYS_exit, 253, 0, 0)
    goto .exit
    var err2[8]
    var why[8]
"""
_PARENT = """
    pid = r1
    unless mapped goto .return
    RawSyscall(SYS_close, p0, 0, 0)
    written = 0                                 # the maps are written, no error
    RawSyscall(SYS_write, p1, &written, word)
    RawSyscall(SYS_close, p1, 0, 0)
    return
    var written[8]
"""

ONE_FRAME = f"""
noinline func forkAndExecInChild(argv0, argv, maps, pipe) (pid, err1):
    mapped = maps
    pid = 0
    p0 = 0
    p1 = 0
{_TO_THE_FORK}{_CLONE}
    if err1 goto .forked
    if r1 goto .forked
{_CHILD}
.forked:
    afterfork()
    if err1 goto .return
{_PARENT}"""

TWO_FRAMES = f"""
noinline func forkAndExecInChild(argv0, argv, maps, pipe) (pid, err):
    mapped = maps
    pid = 0
    r1, err, p0, p1, locked = forkAndExecInChild1(argv0, argv, mapped, pipe)
    unless locked goto .unlocked
    afterfork()
.unlocked:
    if err goto .return
{_PARENT}
noinline func forkAndExecInChild1(argv0, argv, mapped, pipe) (r1, err1, p0, p1, locked):
    p0 = 0
    p1 = 0
    locked = 0
{_TO_THE_FORK}
    locked = 1
{_CLONE}
    if err1 goto .return
    if r1 goto .return                          # the parent: at once, to a frame that the child does not know
{_CHILD}"""

SOURCES = {
    "before": ONE_FRAME,
    "committed": TWO_FRAMES,
    "inlined": TWO_FRAMES.replace("noinline func forkAndExecInChild1", "func forkAndExecInChild1"),
}


@dataclass(frozen=True)
class Scenario:
    """One start of a program, and what forkExec must return: whether there is a child, err, the child's status."""

    name: str
    started: bool
    err: int
    status: int
    path: str = "/bin/true"
    maps: int = 0
    files: int = 100  # descriptors that the process may have
    refused: bool = False  # the kernel refuses to fork


SCENARIOS = (
    Scenario("the program runs", True, 0, 7 << 8),
    Scenario("there is no such program", True, Errno.ENOENT, 253 << 8, path="/bin/none"),
    Scenario("the fork is refused", False, Errno.EAGAIN, 0, refused=True),
    Scenario("id maps are wanted", True, 0, 7 << 8, maps=1),
    Scenario("the pipe for the id maps fails", False, Errno.EMFILE, 0, maps=1, files=6),
)


def text(variant: Variant, _arch: Arch) -> str:
    """The guest's source."""
    return FORK_EXEC + SOURCES[variant.name]


def run(variant: Variant, arch: Arch, _schedule: str = "") -> Verdict:
    """All scenarios, one after the other."""
    return judge(Session(with_vfork("2017", arch.name), compile_text(text(variant, arch), arch)))


def judge(session: Session) -> Verdict:
    """What the scenarios show of a forkExec, whoever compiled it and whatever stub it calls."""
    looked, breaks, step = 0, "", 0
    findings: list[str] = []
    session.process.add_region("arguments", 64)
    for scenario in SCENARIOS:
        wrong, shadow = _start(session, scenario)
        if wrong and not breaks:
            breaks, step = f"{wrong[0][0]} ({scenario.name})", looked + wrong[0][1]
        findings += [f"{scenario.name}: {what}" for what, _ in wrong[0 if findings or not breaks else 1 :]]
        read = sum(stale.size for stale in shadow.stale)
        findings += [
            f"{scenario.name}: the child wrote {count} bytes of the stack last; its parent reads {read} of them"
            for count in shadow.left.values()
        ]
        looked += shadow.steps
    return Verdict(breaks, step, looked, findings=tuple(findings))


def _start(session: Session, scenario: Scenario) -> tuple[list[tuple[str, int]], Shadow]:
    """Run a scenario: what went wrong, each with its step, and what the shadow knows."""
    session.restart()
    process, kernel, word = session.process, session.kernel, session.arch.word
    at = next(region.address for region in process.regions if region.name == "arguments")
    process.write(at, session.arch.pack(at + 2 * word) + session.arch.pack(0) + scenario.path.encode() + b"\0")
    kernel.program("/bin/true")(lambda _task: 7)
    main = kernel.main.task
    main.files.most = scenario.files
    if scenario.refused:
        kernel.syscall("clone")(lambda _thread: -Errno.EAGAIN)
    shadow = Shadow(kernel, process)
    goroutine = session.go("forkExec", at + 2 * word, at, scenario.maps, stack=8192)
    failure = ""
    try:
        session.run()
    except Failure as found:
        failure = str(found)
    steps = shadow.steps
    shadow.close()
    wrong = [(told(session, stale), stale.reader.step) for stale in shadow.stale]
    return [*wrong, *((what, steps) for what in ([failure] if failure else _unlike(scenario, goroutine, main)))], shadow


def _unlike(scenario: Scenario, goroutine: Goroutine, main: Task) -> Iterator[str]:
    """What came out otherwise than it should."""
    if main.status is not None:
        yield f"the parent ends like its child, status {main.status:#x}"
        return
    pid, err, status = goroutine.results
    if (bool(pid), err, status) != (scenario.started, scenario.err, scenario.status):
        yield f"forkExec returns pid {pid}, error {err}, status {status:#x}"
    if (kept := sorted(main.files.slots)) != [0, 1, 2]:
        yield f"the parent is left with the descriptors {kept}"


_STUB = "forked with a copy of memory until Go 1.17 (00cb841b83); here the era of 2017 has that release's stub"
_NOTES = {"386": _STUB, "arm": _STUB}

CASE = Case(
    name="vfork-frame",
    title="a vfork child in its parent's frame (67e53754, 2017)",
    story=STORY,
    variants=(
        Variant(
            "before", "9e6b79a5df", "parent and child go on in one frame", BREAKS,
            {**_NOTES, "amd64": "Go's compiler of 2017 did not share slots of named locals: what breaks here is what "
                                "it was free to do"},
        ),
        Variant(
            "committed", "67e53754", "the child has a frame that its parent leaves at once",
            HOLDS, _NOTES,
        ),
        Variant(
            "inlined", "87adaf4c", "the same, without what this commit added: noinline at the inner function",
            BREAKS, _NOTES,
        ),
    ),
    run=run,
    text=text,
)
