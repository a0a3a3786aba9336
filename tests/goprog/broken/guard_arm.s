#include "textflag.h"

// func SpoilGuard()
TEXT ·SpoilGuard(SB), NOSPLIT, $0-0
	MOVW	$0x1234, R0
	MOVW	R0, 8(g)	// g.stackguard0
	RET
