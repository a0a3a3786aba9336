// rawVforkSyscall as Go 1.17 brought it to arm, for eras that fork with a copy of memory there. Architecture: arm.
//
//      |     r1, err      |  results: each process stores its own
//      |     a1, trap     |
//      +------------------+
//      |caller's saved lr |  <- sp: the stub's own return PC stays in lr and is never on the stack
//      +------------------+

// rawVforkSyscall(trap, a1) (r1, err): a system call that may return twice on one stack. r3 to r5 reach the kernel as
// the caller left them.
rawVforkSyscall:
    ldr r7, [sp, #4]                            // trap
    ldr r0, [sp, #8]                            // a1
    mov r1, #0                                  // a2: the child's stack is the parent's
    mov r2, #0                                  // a3: none
    svc #0                                      // into the kernel
    ldr r1, =0xfffff001                         // -4095
    cmp r0, r1                                  // -4095 counts as success, only above it are errors
    bls .good                                   // no error
    mvn r1, #0                                  // -1
    str r1, [sp, #12]                           // r1
    rsb r0, r0, #0                              // the error's number
    str r0, [sp, #16]                           // err
    mov pc, lr                                  // to the caller
.good:
    str r0, [sp, #12]                           // r1
    mov r0, #0                                  // no error number
    str r0, [sp, #16]                           // err
    mov pc, lr                                  // to the caller
