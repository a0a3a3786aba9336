"""The standard library's own tests under `stackcarry run`, beside QEMU and the host."""
