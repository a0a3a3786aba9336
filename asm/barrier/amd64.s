// Stack barriers (Go 1.5 to 1.8), on the routines of 2017. Architecture: amd64.
//
// The collector puts the address of stackBarrier over the return PCs of some frames. Each is kept in g.stkbar, with
// the address where it was, from low addresses to high; g.stkbarPos counts the barriers that were returned through.
//
//      |     arguments    |  <- rsp: f has returned, its return PC is gone from the stack
//      +------------------+
//      |   stackBarrier   |  where f's return PC was
//      +------------------+
//      |    f's frame     |
//      +------------------+

// Where f returns to instead of its caller: on to its caller. rax may hold f's result.
stackBarrier:
    mov rcx, qword ptr fs:[TLS.g]               // g
    mov rdx, qword ptr [rcx + g.stkbar.array]   // the first entry
    mov rbx, qword ptr [rcx + g.stkbarPos]      // which one is ours
    imul rbx, rbx, stkbar.size
    mov rbx, qword ptr [rdx + rbx + stkbar.savedLRVal]
    add qword ptr [rcx + g.stkbarPos], 1        // the next barrier is the next one up
    jmp rbx                                     // where f meant to return

// tryStackLock(gp): takes the lock if it is free. eax = what was there: 0 if it is the caller's now.
tryStackLock:
    mov rcx, qword ptr [rsp + 8]                // gp
    mov edx, 1
    mov eax, 0
    lock cmpxchg dword ptr [rcx + g.stackLock], edx
    ret

// freeStackLock(gp)
freeStackLock:
    mov rcx, qword ptr [rsp + 8]                // gp
    mov eax, 0
    xchg dword ptr [rcx + g.stackLock], eax     // a store that is locked by itself
    ret
