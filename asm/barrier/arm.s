// Stack barriers (Go 1.5 to 1.8), on the routines of 2017. Architecture: arm.
//
// The collector puts the address of stackBarrier over the return PCs of some frames. Each is kept in g.stkbar, with
// the address where it was, from low addresses to high; g.stkbarPos counts the barriers that were returned through.
//
//      |     arguments    |
//      |caller's saved lr |  <- sp: f has returned, its frame is gone
//      +------------------+
//      |    f's frame     |
//      |   stackBarrier   |  where f's return PC was saved; f has loaded it into lr
//      +------------------+

// Where f returns to instead of its caller: on to its caller. r0 may hold f's result.
stackBarrier:
    ldr r4, [r10, #g.stkbar.array]              // the first entry
    ldr r5, [r10, #g.stkbarPos]                 // which one is ours
    mov r6, #stkbar.size
    mla r6, r5, r6, r4
    ldr r6, [r6, #stkbar.savedLRVal]
    add r5, r5, #1                              // the next barrier is the next one up
    str r5, [r10, #g.stkbarPos]
    bx r6                                       // where f meant to return

// tryStackLock(gp): takes the lock if it is free. r0 = what was there: 0 if it is the caller's now. What a processor
// may reorder around it is not held back.
tryStackLock:
    ldr r1, [sp, #4]                            // gp
    add r1, r1, #g.stackLock
    mov r3, #1
.retry:
    ldrex r0, [r1]
    cmp r0, #0
    bne .held
    strex r2, r3, [r1]
    cmp r2, #0                                  // somebody was there in between
    bne .retry
.held:
    bx lr

// freeStackLock(gp)
freeStackLock:
    ldr r1, [sp, #4]                            // gp
    add r1, r1, #g.stackLock
    mov r3, #0
.retry:
    ldrex r0, [r1]
    strex r2, r3, [r1]
    cmp r2, #0
    bne .retry
    bx lr
