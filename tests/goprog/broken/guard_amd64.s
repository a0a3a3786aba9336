#include "textflag.h"

// func SpoilGuard()
TEXT ·SpoilGuard(SB), NOSPLIT, $0-0
	MOVQ	(TLS), AX
	MOVQ	$0x1234, 16(AX)	// g.stackguard0
	RET
