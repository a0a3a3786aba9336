#include "textflag.h"

// A function of the stack ABI: its prologue loads g, and calls the hook by that ABI. Its call of the hook in the body
// makes the compiler provide that.
TEXT ·stackABI(SB), 0, $64-16
	CALL ·hook(SB)
	MOVQ n+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET
