// Stack-switching routines of Go's runtime. Era: modern (Go 1.27, contiguous stacks). Architecture: arm.
//
// Where g lives: in r10, and in programs with C code also in a word of the thread's TLS block, because C does not
// keep r10. m is g.m. Closure context: r7. No register survives a call but sp and r10. All arguments and results
// are on the stack. r11 is scratch for constants.
//
//      a call: the return PC is in lr                  a frame of F bytes
//
//      |       ...        |                            |       ...        |
//      |   argument 2     |  sp + 8                    |   argument 1     |  entry sp + 4
//      |   argument 1     |  sp + 4                    |caller's saved lr |  entry sp
//      |caller's saved lr |  sp at entry               +------------------+
//      +------------------+                            |      locals      |
//                                                      |     saved lr     |  <- sp = entry sp - F
//                                                      +------------------+
//
//      mcall: one goroutine leaves, g0 runs fn
//
//          stack of g                                      stack of g0
//      |       ...        |                            |  mstart's frames |
//      |       fn         |                            +------------------+  <- g0.sched.sp: read, never written
//      |caller's saved lr |  <- saved g.sched.sp       |   the old g      |  argument of fn
//      +------------------+     lr -> g.sched.pc       | room for a lr    |  <- sp in fn, lr = PC in mcall
//                                                      +------------------+
//
//      morestack: called by the check at the entry of f, before f has a frame
//
//          stack of g                                      what is written down
//      |  f's arguments   |                            m.morebuf.sp = sp, .pc = r3 (f's return PC), .g = g
//      |caller's saved lr |  <- sp at entry            g.sched.sp   = sp, .pc = lr (PC in f), .lr = r3, .ctxt = r7
//      +------------------+
//
//      rawVforkSyscall: the return PC stays in lr and is never on the stack that parent and child share

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below sp at entry, the saved lr included. args is not used in this
// era. more: morestack, or morestack_noctxt where the function has no closure context. The check is made again after
// the stack has grown, because morestack comes back to the branch in the tail. Scratch: r1, r2, r3, r11.

.macro check_small name, frame, args, more      // frames up to StackSmall: sp itself is compared
.check:
    ldr r1, [r10, #g.stackguard0]               // guard
    cmp sp, r1                                  // lower or same: too little left
    bls .more                                   // yes: grow
.body:
.endm

.macro check_medium name, frame, args, more     // frames up to StackBig: the frame's end, StackSmall forgiven
.check:
    ldr r1, [r10, #g.stackguard0]               // guard
    ldr r11, =(\frame - StackSmall)             // any frame size; few fit an instruction
    sub r2, sp, r11                             // the frame's end
    cmp r2, r1                                  // lower or same: too little left
    bls .more                                   // yes: grow
.body:
.endm

.macro check_huge name, frame, args, more       // larger ones: the frame's end may wrap below address 0
.check:
    ldr r1, [r10, #g.stackguard0]               // guard
    ldr r11, =(\frame - StackSmall)             // any frame size; few fit an instruction
    subs r2, sp, r11                            // wrapped: carry is clear, which is lower already
    cmphs r2, r1                                // lower or same: too little left
    bls .more                                   // yes: grow
.body:
.endm

.macro check_tail more
.more:
    mov r3, lr                                  // f's return PC, which the call is about to replace
    bl \more                                    // its return PC is what g.sched.pc will hold
    b .check                                    // a larger stack: look again
.endm

// setg: g = r0. Keeps r0; uses r11 and the flags. In a program with C code (the byte iscgo is not 0) g is also
// stored in the thread's TLS block, tls_g bytes from its start; the low bits of the block's address are flags.
.macro setg
    mov r10, r0                                 // the thread's g
    ldr r11, =iscgo                             // a byte: is there C code?
    ldrb r0, [r11]                              // its value
    cmp r0, #0                                  // none: done
    mrcne p15, 0, r0, c13, c0, 3                // the thread's TLS block
    bicne r0, r0, #3                            // without its flags
    ldrne r11, =tls_g                           // the variable
    ldrne r11, [r11]                            // its value: where g's word is in the block
    addne r0, r0, r11                           // the word
    strne r10, [r0]                             // g once more, for who comes back from C
    mov r0, r10                                 // as it was
.endm

// gogo(buf): leave this stack and continue what buf describes. Never returns.
// Sets g, sp, lr and r7 from buf, clears those words of buf but pc and g, jumps to buf.pc with Z and C set.
// Between the new sp and the jump there is no call: until then g, sp, lr and pc do not belong together.
gogo:
    ldr r1, [sp, #4]                            // buf
    ldr r0, [r1, #gobuf.g]                      // the g to run
    ldr r2, [r0]                                // probe: a nil g faults here
    setg                                        // it is g from now on
    ldr sp, [r1, #gobuf.sp]                     // its stack
    ldr lr, [r1, #gobuf.lr]                     // its return PC, if it stopped before saving it
    ldr r7, [r1, #gobuf.ctxt]                   // its closure context
    mov r11, #0                                 // for the words below
    str r11, [r1, #gobuf.sp]                    // buf is used up: leave no stale pointers in it
    str r11, [r1, #gobuf.lr]                    // so is this
    str r11, [r1, #gobuf.ctxt]                  // so is this
    ldr r11, [r1, #gobuf.pc]                    // where it stopped
    cmp r11, r11                                // equal: a conditional branch of a stack check is taken again
    mov pc, r11                                 // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g).
// fn is a func value: r7 must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall, reached with g set to g0 once more. g.sched.g is left alone.
mcall:
    str sp, [r10, #g.sched.sp]                  // sp after the return: a call does not move it
    str lr, [r10, #g.sched.pc]                  // return PC: where g will continue
    mov r11, #0                                 // for the word below
    str r11, [r10, #g.sched.lr]                 // and its lr then means nothing
    mov r1, r10                                 // the g that leaves
    ldr r8, [r10, #g.m]                         // m
    ldr r0, [r8, #m.g0]                         // where to go
    setg                                        // g is g0 now
    cmp r1, r10                                 // the same as before?
    beq badmcall                                // it was before
    ldr r0, [sp, #4]                            // fn, while sp is still the caller's
    ldr sp, [r10, #g.sched.sp]                  // top of g0's stack, the same every time
    sub sp, sp, #8                              // frame: a word for a link, and fn's argument
    str r1, [sp, #4]                            // argument of fn
    mov r7, r0                                  // closure context of fn
    ldr r0, [r0]                                // code of fn
    blx r0                                      // fn(g)
    b badmcall2                                 // fn returned: a mistake

// systemstack(fn): call fn() on g0's stack and come back.
// On g0 or gsignal fn is jumped to; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a frame of systemstack_switch.
systemstack:
    str lr, [sp, #-4]!                          // frame of one word
    ldr r0, [sp, #8]                            // fn
    ldr r1, [r10, #g.m]                         // m
    ldr r2, [r1, #m.gsignal]                    // the g of signal handlers
    cmp r2, r10                                 // is it the running one?
    beq .stay                                   // on the signal stack already
    ldr r2, [r1, #m.g0]                         // g0
    cmp r2, r10                                 // is it the running one?
    beq .stay                                   // on g0 already
    ldr r3, [r1, #m.curg]                       // the goroutine that m runs
    cmp r3, r10                                 // is it the running one?
    beq .switch                                 // yes: switch
    bl badsystemstack                           // neither of the three
    b abort                                     // crash
.switch:
    ldr r11, =(systemstack_switch + 4)          // past that routine's push of lr
    str r11, [r10, #g.sched.pc]                 // as if g had called it
    str sp, [r10, #g.sched.sp]                  // lr has been pushed: same depth as there
    mov r11, #0                                 // for the word below
    str r11, [r10, #g.sched.lr]                 // no link: it has been pushed
    ldr r11, [r10, #g.sched.ctxt]               // a context?
    cmp r11, #0                                 // it must be nil
    blne abort                                  // a context left behind: g.sched is in use
    mov r5, r0                                  // fn
    mov r0, r2                                  // g0
    setg                                        // g is g0 now
    mov r0, r5                                  // fn again
    ldr sp, [r2, #g.sched.sp]                   // top of its stack
    mov r7, r0                                  // closure context of fn
    ldr r0, [r0]                                // code of fn
    blx r0                                      // fn()
    ldr r1, [r10, #g.m]                         // of g0, perhaps another m than before
    ldr r0, [r1, #m.curg]                       // the goroutine to go back to
    setg                                        // g is that goroutine now
    ldr sp, [r10, #g.sched.sp]                  // its stack, which may have been moved
    mov r3, #0                                  // for the word below
    str r3, [r10, #g.sched.sp]                  // g.sched is free again
    ldr pc, [sp], #4                            // to our caller
.stay:
    mov r7, r0                                  // closure context of fn
    ldr r0, [r0]                                // code of fn
    ldr lr, [sp], #4                            // as at entry: fn returns to our caller
    mov pc, r0                                  // fn()

// systemstack_switch: never called. Its second instruction is the PC of a goroutine that waits in systemstack, so
// that a stack walk ends in a frame of known shape: lr pushed, nothing else.
systemstack_switch:
    str lr, [sp, #-4]!                          // frame of one word
    mov r0, #0                                  // systemstack_switch + 4
    blx r0                                      // faults, if it ever came to that
    ldr pc, [sp], #4                            // not reached; a routine ends in a return

// morestack: the check at the entry of f found too little stack. r3 = f's return PC, r7 = f's closure context.
// Describes f in g.sched and f's caller in m.morebuf, then calls newstack on g0's stack. Never returns: newstack
// resumes f behind its call, on a larger stack. g0 and gsignal cannot grow.
morestack:
    ldr r8, [r10, #g.m]                         // m
    ldr r4, [r8, #m.g0]                         // the scheduler's g
    str sp, [r10, #g.sched.sp]                  // f has no frame yet
    str lr, [r10, #g.sched.pc]                  // PC in f, behind its call
    str r3, [r10, #g.sched.lr]                  // f's return PC, to be in lr again
    str r7, [r10, #g.sched.ctxt]                // f's closure context
    cmp r4, r10                                 // is it the running one?
    bne .not_g0                                 // no
    bl badmorestackg0                           // the scheduler's stack is full
    b abort                                     // crash
.not_g0:
    ldr r4, [r8, #m.gsignal]                    // the g of signal handlers
    cmp r4, r10                                 // is it the running one?
    bne .not_gsignal                            // no
    bl badmorestackgsignal                      // the signal stack is full
    b abort                                     // crash
.not_gsignal:
    str r3, [r8, #m.morebuf.pc]                 // f's return PC
    str sp, [r8, #m.morebuf.sp]                 // sp of f's caller after f returns
    str r10, [r8, #m.morebuf.g]                 // who it is
    ldr r0, [r8, #m.g0]                         // g0: where to go
    setg                                        // g is g0 now
    ldr sp, [r10, #g.sched.sp]                  // top of its stack
    mov r0, #0                                  // for the word below
    str r0, [sp, #-4]!                          // saved lr of a frame that has no caller
    bl newstack                                 // make room for f; never returns
    mov pc, lr                                  // it must not come back

// morestack_noctxt: morestack for an f without a closure context: there must be none to keep alive.
morestack_noctxt:
    mov sp, sp                                  // a mark for stack walkers, no effect
    mov r7, #0                                  // no closure context
    b morestack                                 // the rest is the same

// rawVforkSyscall(trap, a1, a2, a3) (r1, err): a system call that may return twice on one stack.
// The child runs first and overwrites the stack below the caller's arguments with its calls; the return PC is not
// there but in lr, which the kernel keeps for both. r3 to r5 reach the kernel as the caller left them.
rawVforkSyscall:
    ldr r7, [sp, #4]                            // trap
    ldr r0, [sp, #8]                            // a1
    ldr r1, [sp, #12]                           // a2
    ldr r2, [sp, #16]                           // a3
    svc #0                                      // into the kernel
    ldr r1, =0xfffff001                         // -4095
    cmp r0, r1                                  // -4095 counts as success, only above it are errors
    bls .good                                   // no error
    mvn r1, #0                                  // -1
    str r1, [sp, #20]                           // r1
    rsb r0, r0, #0                              // the error's number
    str r0, [sp, #24]                           // err
    mov pc, lr                                  // to the caller
.good:
    str r0, [sp, #20]                           // r1
    mov r0, #0                                  // no error number
    str r0, [sp, #24]                           // err
    mov pc, lr                                  // to the caller

// rawSyscallNoError(trap, a1, a2, a3) (r1, r2): a system call that cannot fail. r2 is always 0.
rawSyscallNoError:
    ldr r7, [sp, #4]                            // trap
    ldr r0, [sp, #8]                            // a1
    ldr r1, [sp, #12]                           // a2
    ldr r2, [sp, #16]                           // a3
    svc #0                                      // into the kernel
    str r0, [sp, #20]                           // r1
    mov r0, #0                                  // there is no second result
    str r0, [sp, #24]                           // r2
    mov pc, lr                                  // to the caller

// Syscall6(num, a1 ... a6) (r1, r2, errno): the system call under all others.
Syscall6:
    ldr r7, [sp, #4]                            // num
    ldr r0, [sp, #8]                            // a1
    ldr r1, [sp, #12]                           // a2
    ldr r2, [sp, #16]                           // a3
    ldr r3, [sp, #20]                           // a4
    ldr r4, [sp, #24]                           // a5
    ldr r5, [sp, #28]                           // a6
    svc #0                                      // into the kernel
    ldr r6, =0xfffff001                         // not into r1, which is part of the result
    cmp r0, r6                                  // -4095 counts as success, only above it are errors
    bls .good                                   // no error
    mvn r1, #0                                  // -1
    str r1, [sp, #32]                           // r1
    mov r2, #0                                  // no second result
    str r2, [sp, #36]                           // r2
    rsb r0, r0, #0                              // the error's number
    str r0, [sp, #40]                           // errno
    mov pc, lr                                  // to the caller
.good:
    str r0, [sp, #32]                           // r1
    str r1, [sp, #36]                           // r2
    mov r0, #0                                  // no error number
    str r0, [sp, #40]                           // errno
    mov pc, lr                                  // to the caller
