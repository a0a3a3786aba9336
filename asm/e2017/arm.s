// Stack-switching routines of Go's runtime. Era: 2017 (Go 1.9, contiguous stacks). Architecture: arm.
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
//      mcall: one goroutine leaves, g0 runs fn         systemstack: g waits, g0 runs fn
//
//          stack of g           stack of g0                stack of g           stack of g0
//      |      fn      |     | mstart's frames |        |      fn      |     | mstart's frames |
//      |a saved lr    | sp  +-----------------+ sp     |a saved lr    |     +-----------------+ sp
//      +--------------+     |    the old g    |        |    our lr    | sp  |  mstart, faked  |
//          lr is pc         |  room for a lr  |        +--------------+     +-----------------+
//                           +-----------------+  pc = systemstack_switch + 4, lr = our lr
//
//      sp, pc, lr: what g.sched holds while g waits; g0.sched.sp on the right is read, never written
//
//      morestack: called by the check at the entry of f, before f has a frame
//
//          stack of g                                      what is written down
//      |  f's arguments   |                            g.sched.sp   = sp, .pc = lr (PC in f), .lr = r3
//      |caller's saved lr |  <- sp at entry            m.morebuf.sp = sp, .pc = r3 (f's return PC), .g = g
//      +------------------+                            f's closure context travels as newstack's argument

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below sp at entry, the saved lr included. args is not used in this
// era. more: morestack, or morestack_noctxt where the function has no closure context. The check is made again after
// the stack has grown, because morestack comes back to the branch in the tail. Scratch: r1, r2, r3, r11.

// Small and medium frames, and the tail: as in the modern era.
inherit check_small from modern
inherit check_medium from modern
inherit check_tail from modern

// Larger ones: the room above the guard is compared with the frame, both sides raised by StackGuard because sp may
// lie a little below the guard. The subtraction goes wrong for a guard that is no address: of those only
// StackPreempt is looked for; StackFork passes unseen.
.macro check_huge name, frame, args, more
.check:
    ldr r1, [r10, #g.stackguard0]               // guard
    ldr r11, =StackPreempt                      // the guard of one who is asked to give way
    cmp r1, r11                                 // equal is lower or same, too: straight to .more
    addne r2, sp, #StackGuard                   // StackGuard on both sides: sp may be a little below the guard
    subne r2, r2, r1                            // bytes above the guard + StackGuard
    ldrne r3, =(\frame + StackGuard - StackSmall)  // what the frame needs
    cmpne r2, r3                                // lower or same: too little left
    bls .more                                   // yes: grow
.body:
.endm

// g = r0, and the thread's copy of it: as in the modern era.
inherit setg from modern

// gosave(buf): note the caller's place in buf, as if gosave returned when buf is resumed.
// buf.ctxt must be nil already: clearing it here would go behind the collector's back.
gosave:
    ldr r0, [sp, #4]                            // buf
    str sp, [r0, #gobuf.sp]                     // sp after the return: a call does not move it
    str lr, [r0, #gobuf.pc]                     // return PC
    str r10, [r0, #gobuf.g]                     // who will
    mov r11, #0                                 // for the words below
    str r11, [r0, #gobuf.lr]                    // no link
    str r11, [r0, #gobuf.ret]                   // no result
    ldr r11, [r0, #gobuf.ctxt]                  // a context from an earlier use?
    cmp r11, #0                                 // it must be nil
    blne badctxt                                // never returns
    mov pc, lr                                  // to the caller, for the first time

// gogo(buf): leave this stack and continue what buf describes. Never returns.
// Sets g, sp, lr, r0 and r7 from buf, clears those words of buf but pc and g, jumps to buf.pc with Z and C set.
// A closure context in buf is a pointer about to be overwritten: the collector's write barrier sees it first.
// Between the new sp and the jump there is no call: until then g, sp, lr and pc do not belong together.
gogo:
    ldr r1, [sp, #4]                            // buf
    ldr r0, [r1, #gobuf.ctxt]                   // a closure context?
    cmp r0, #0                                  // nothing is lost by clearing nil
    beq .no_context                             // no barrier needed
    str lr, [sp, #-12]!                         // frame: lr and two arguments
    add r0, r1, #gobuf.ctxt                     // the word
    str r0, [sp, #4]                            // first argument
    mov r0, #0                                  // what it will be
    str r0, [sp, #8]                            // second argument
    bl prewrite                                 // tell the collector
    ldr r1, [sp, #16]                           // buf; sp needs no repair, it is replaced
.no_context:
    ldr r0, [r1, #gobuf.g]                      // the g to run
    setg                                        // it is g from now on
    ldr sp, [r1, #gobuf.sp]                     // its stack
    ldr lr, [r1, #gobuf.lr]                     // its return PC, if it stopped before saving it
    ldr r0, [r1, #gobuf.ret]                    // what the call it waits in returns
    ldr r7, [r1, #gobuf.ctxt]                   // its closure context
    mov r11, #0                                 // for the words below
    str r11, [r1, #gobuf.sp]                    // buf is used up: leave no stale pointers in it
    str r11, [r1, #gobuf.ret]                   // so is this
    str r11, [r1, #gobuf.lr]                    // so is this
    str r11, [r1, #gobuf.ctxt]                  // so is this
    ldr r11, [r1, #gobuf.pc]                    // where it stopped
    cmp r11, r11                                // equal: a conditional branch of a stack check is taken again
    mov pc, r11                                 // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g).
// fn is a func value: r7 must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall, reached with g set to g0 once more.
mcall:
    str sp, [r10, #g.sched.sp]                  // sp after the return: a call does not move it
    str lr, [r10, #g.sched.pc]                  // return PC: where g will continue
    mov r11, #0                                 // for the word below
    str r11, [r10, #g.sched.lr]                 // and its lr then means nothing
    str r10, [r10, #g.sched.g]                  // who will: g itself
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
// On g0 or gsignal fn is called in place; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a frame of systemstack_switch, and g0's stack looks as if mstart had called us.
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
    bl badsystemstack                           // neither of the three: never returns
.switch:
    ldr r3, =(systemstack_switch + 4)           // past that routine's push of lr
    str r3, [r10, #g.sched.pc]                  // as if g had called it
    str sp, [r10, #g.sched.sp]                  // lr has been pushed: same depth as there
    str lr, [r10, #g.sched.lr]                  // return PC
    str r10, [r10, #g.sched.g]                  // g itself
    mov r5, r0                                  // fn
    mov r0, r2                                  // g0
    setg                                        // g is g0 now
    mov r0, r5                                  // fn again
    ldr r3, [r2, #g.sched.sp]                   // top of its stack
    sub r3, r3, #4                              // room for a word
    ldr r4, =mstart                             // a return PC at which every stack walk ends
    str r4, [r3]                                // as if mstart had called fn
    mov sp, r3                                  // onto g0's stack
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
    blx r0                                      // fn()
    ldr pc, [sp], #4                            // to our caller

// As in the modern era.
inherit systemstack_switch from modern

// morestack: the check at the entry of f found too little stack. r3 = f's return PC, r7 = f's closure context.
// Describes f in g.sched and f's caller in m.morebuf, then calls newstack(r7) on g0's stack. Never returns: newstack
// resumes f behind its call, on a larger stack. g0 and gsignal cannot grow. g.sched.ctxt is left to newstack.
morestack:
    ldr r8, [r10, #g.m]                         // m
    ldr r4, [r8, #m.g0]                         // the scheduler's g
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
    str sp, [r10, #g.sched.sp]                  // f has no frame yet
    str lr, [r10, #g.sched.pc]                  // PC in f, behind its call
    str r3, [r10, #g.sched.lr]                  // f's return PC, to be in lr again
    str r3, [r8, #m.morebuf.pc]                 // f's return PC
    str sp, [r8, #m.morebuf.sp]                 // sp of f's caller after f returns
    str r10, [r8, #m.morebuf.g]                 // who it is
    ldr r0, [r8, #m.g0]                         // g0: where to go
    setg                                        // g is g0 now
    ldr sp, [r10, #g.sched.sp]                  // top of its stack
    mov r0, #0                                  // for the word below
    str r0, [sp, #-8]!                          // saved lr of a frame that has no caller
    str r7, [sp, #4]                            // argument of newstack: f's closure context
    bl newstack                                 // make room for f; never returns
    mov pc, lr                                  // it must not come back

// morestack_noctxt: morestack for an f without a closure context: there must be none to keep alive.
morestack_noctxt:
    mov r7, #0                                  // no closure context
    b morestack                                 // the rest is the same

// System calls with three and with six arguments: as in 2014.
inherit RawSyscall from 2014
inherit RawSyscall6 from 2014
