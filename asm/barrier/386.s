// Stack barriers (Go 1.5 to 1.8), on the routines of 2017. Architecture: 386.
//
// The collector puts the address of stackBarrier over the return PCs of some frames. Each is kept in g.stkbar, with
// the address where it was, from low addresses to high; g.stkbarPos counts the barriers that were returned through.
//
//      |     arguments    |  <- esp: f has returned, its return PC is gone from the stack
//      +------------------+
//      |   stackBarrier   |  where f's return PC was
//      +------------------+
//      |    f's frame     |
//      +------------------+

// Where f returns to instead of its caller: on to its caller. eax may hold f's result.
stackBarrier:
    mov ecx, dword ptr gs:[0]
    mov ecx, dword ptr [ecx + TLS.g]            // g
    mov edx, dword ptr [ecx + g.stkbar.array]   // the first entry
    mov ebx, dword ptr [ecx + g.stkbarPos]      // which one is ours
    imul ebx, ebx, stkbar.size
    mov ebx, dword ptr [edx + ebx + stkbar.savedLRVal]
    add dword ptr [ecx + g.stkbarPos], 1        // the next barrier is the next one up
    jmp ebx                                     // where f meant to return

// tryStackLock(gp): takes the lock if it is free. eax = what was there: 0 if it is the caller's now.
tryStackLock:
    mov ecx, dword ptr [esp + 4]                // gp
    mov edx, 1
    mov eax, 0
    lock cmpxchg dword ptr [ecx + g.stackLock], edx
    ret

// freeStackLock(gp)
freeStackLock:
    mov ecx, dword ptr [esp + 4]                // gp
    mov eax, 0
    xchg dword ptr [ecx + g.stackLock], eax     // a store that is locked by itself
    ret
