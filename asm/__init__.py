"""Sources, and all that makes or reads machine code: assembler, ELF files, programs."""
