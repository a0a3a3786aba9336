"""A swapcontext for three architectures: what it carries, and nothing else."""


def test_swap(stackcarry):
    bench = stackcarry.load(
        "swap.{arch}.s", stacks={"main": 4096, "fiber": 4096}, data={"here": 1, "there": 1}, gates=["body"]
    )
    bench.call("prepare", "there", bench.stacks["fiber"].end, "body").returned().writes_only("there", "fiber")

    left = bench.call("swap", "here", "there")
    left.reached("body").stacks("main", "fiber").writes_only("here", left.frame(9)).signal_safe()

    back = bench.call("swap", "there", "here")
    back.returned(left, floats=False).stacks("fiber", "main").writes_only("there", back.frame(9)).signal_safe()
    stackcarry.golden(left, back)
