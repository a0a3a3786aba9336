"""System-call numbers and the two error windows."""

import pytest

import arch
from arch import linux

ARCHES = ("386", "amd64", "arm")


@pytest.mark.parametrize("name", ARCHES)
def test_numbers_and_names_are_inverse(name: str) -> None:
    one = arch.get(name)
    column = ARCHES.index(name)
    calls = {call: row[column] for call, row in linux.NUMBERS.items() if row[column] is not None}
    assert len(set(calls.values())) == len(calls)
    for call, found in calls.items():
        assert linux.number(one, call) == found
        assert linux.name(one, found) == call


@pytest.mark.parametrize(
    ("call", "numbers"),
    [
        ("exit", (1, 60, 1)), ("write", (4, 1, 4)), ("clone", (120, 56, 120)), ("execve", (11, 59, 11)),
        ("exit_group", (252, 231, 248)), ("waitid", (284, 247, 280)), ("pipe2", (331, 293, 359)),
        ("rt_sigprocmask", (175, 14, 175)), ("tgkill", (270, 234, 268)), ("futex", (240, 202, 240)),
    ],
)
def test_some_numbers(call: str, numbers: tuple[int, int, int]) -> None:
    assert tuple(linux.number(arch.get(name), call) for name in ARCHES) == numbers


@pytest.mark.parametrize(
    ("name", "call"), [("amd64", "mmap2"), ("386", "arch_prctl"), ("arm", "modify_ldt"), ("amd64", "sysret")]
)
def test_a_call_that_is_not_there(name: str, call: str) -> None:
    with pytest.raises(KeyError, match=f"no system call '{call}' on {name}"):
        linux.number(arch.get(name), call)


@pytest.mark.parametrize("name", ARCHES)
def test_a_number_that_means_nothing(name: str) -> None:
    assert linux.name(arch.get(name), 9999) is None


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(
    ("result", "kernel", "stub"),
    [
        (0, False, False), (1, False, False), (4095, False, False), (-4096, False, False),
        (-4095, True, False),  # the kernel may return it as an error, the stubs take it for success
        (-4094, True, True), (-38, True, True), (-1, True, True),
    ],
)
def test_error_windows_of_the_kernel_and_of_the_stubs(name: str, result: int, kernel: bool, stub: bool) -> None:
    one = arch.get(name)
    assert linux.is_error(one, result & one.mask) is kernel
    assert linux.stub_sees_error(one, result & one.mask) is stub


def test_the_stubs_bound_is_the_constant_in_their_code() -> None:
    for name, bound in (("386", 0xFFFFF001), ("amd64", 0xFFFFFFFFFFFFF001), ("arm", 0xFFFFF001)):
        one = arch.get(name)
        assert not linux.stub_sees_error(one, bound)
        assert linux.stub_sees_error(one, bound + 1)


def test_flag_words_seen_in_practice() -> None:
    flag = linux.Clone
    thread = flag.VM | flag.FS | flag.FILES | flag.SIGHAND | flag.THREAD | flag.SYSVSEM
    assert flag.VM | flag.VFORK | linux.SIGCHLD == 0x4111
    assert flag.VM | flag.VFORK | flag.PIDFD | linux.SIGCHLD == 0x5111
    assert (thread, thread | flag.SETTLS) == (0x50F00, 0xD0F00)
    assert 0x5111 & linux.EXIT_SIGNAL == linux.SIGCHLD


def test_clone_has_the_same_arguments_in_an_order_of_its_own() -> None:
    orders = linux.CLONE_ARGUMENTS
    assert orders["386"] == orders["arm"]
    assert orders["amd64"][3:] == orders["386"][:2:-1]
    assert all(set(order) == set(orders["386"]) for order in orders.values())


def test_error_numbers() -> None:
    wanted = {"EPERM": 1, "ENOENT": 2, "ESRCH": 3, "EINTR": 4, "EBADF": 9, "ECHILD": 10, "EAGAIN": 11, "EFAULT": 14,
              "EINVAL": 22, "ENOSYS": 38}
    assert {name: linux.Errno[name].value for name in wanted} == wanted
