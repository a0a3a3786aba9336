"""Commands that have a file of their own; emu.cli registers them."""
