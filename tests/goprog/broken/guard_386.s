#include "textflag.h"

// func SpoilGuard()
TEXT ·SpoilGuard(SB), NOSPLIT, $0-0
	MOVL	(TLS), AX
	MOVL	$0x1234, 8(AX)	// g.stackguard0
	RET
