// Stack-switching routines of Go's runtime. Era: 2014 (Go 1.3: the top segment is copied when all its frames
// allow it, else a new segment is linked). Architecture: arm.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                r10  g
//   +-----------------------------+                     r9   m
//   | Stktop: guard, base of the  |                     both are live in all code; with cgo save_g, save_gm
//   | older segment; Gobuf of the |                     copy them to thread-local words for C's sake
//   | function that split;        |
//   | argsize, argp               |                     g.sched, m.morebuf: a Gobuf = sp pc g ctxt ret lr
//   +-----------------------------+ <- g.stackbase      m.g0: the goroutine that owns the scheduler stack
//   | copy of f's arguments       |                     g0.sched.sp: where every visit to that stack begins;
//   | 0: room for a link          |                     read by mcall, morestack, lessstack, written by none
//   | f's frame, its callees'     |
//   |      |                      |
//   |      v              <- sp   |
//   +- - - - - - - - - - - - - - -+ <- g.stackguard0 = bottom + StackGuard (or StackPreempt, StackPoison)
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's return
//
//   sp+8   second argument      sp+4   f's arguments    to m.moreargp          sp+4   copy of f's arguments
//   sp+4   first argument       sp  -> (link of f's     to m.morebuf.sp        sp  -> 0
//   sp  -> (caller's: its link)         caller)         and g.sched.sp
//   lr     return PC            lr     PC in f          to g.sched.pc
//                               r3     f's return PC    to m.morebuf.pc
//                                                       and g.sched.lr
//
//   No register survives a call, except sp, r9, r10. r7: closure context at the entry of a function. r0: result.
//   r11 is the assembler's scratch register.

// The stack check in front of a splittable function: name is its own label, frame the bytes below sp at entry
// with the saved link, args the bytes of its arguments (whole words), more is morestack or morestack_noctxt.
// The frame itself is passed, in every form: there is no hint.
// newstack puts the PC it resumes back to the function's start, found by decoding the second branch: the check
// is made again. Where newstack resumes without doing so, gogo leaves flags with which that branch is taken.
// Uses r1, r2, r11 (and r3); r7 must stay. All but the comparison is conditional: nothing is branched over.

.macro call_more name, frame, args, more
    ldrls r1, =\frame                           // size of the frame, for m.moreframesize
    ldrls r2, =\args                            // size of the arguments, for m.moreargsize
    movls r3, lr                                // f's return PC, before the call takes its place
    blls \more                                  // notes the PC of the next line
    bls \name                                   // newstack decodes it to find the start of f
.endm

// frame <= StackSmall: sp itself has to be above the guard.
.macro check_small name, frame, args, more
    ldr r1, [r10, #g.stackguard0]               // guard
    cmp sp, r1                                  // unsigned, lower or same: too little left
    call_more \name, \frame, \args, \more       // what the check was for
.body:
.endm

// StackSmall < frame <= StackBig: the lowest address of the frame has to be; no credit as on x86.
.macro check_medium name, frame, args, more
    ldr r1, [r10, #g.stackguard0]               // guard
    ldr r11, =\frame                            // any frame size; few fit an instruction
    sub r2, sp, r11                             // where the frame will end
    cmp r2, r1                                  // lower or same: too little left
    call_more \name, \frame, \args, \more       // what the check was for
.body:
.endm

// frame > StackBig: sp - frame could wrap, so the distance above the guard is compared. Of the special guards
// only StackPreempt is recognised; any other one makes the distance look large and the frame passes unchecked.
.macro check_huge name, frame, args, more
    ldr r1, [r10, #g.stackguard0]               // guard
    ldr r11, =StackPreempt                      // the guard of one who is asked to give way
    cmp r1, r11                                 // asked to give way? Then "same" holds below
    addne r2, sp, #StackGuard                   // StackGuard on both sides: sp may be a little below the guard
    subne r2, r2, r1                            // bytes above the guard + StackGuard
    ldrne r3, =\frame + StackGuard - StackSmall  // what the frame needs
    cmpne r2, r3                                // lower or same: too little left
    call_more \name, \frame, \args, \more       // what the check was for
.body:
.endm

// The call stands in front of the body: nothing follows it.
.macro check_tail more
.endm

// gosave(buf): notes in buf where its caller goes on, as if gosave had just returned.
// Entry: sp+4 = buf, lr = return PC. Returns. Uses r0 r11.
gosave:
    ldr r0, [sp, #4]                            // buf
    str sp, [r0, #gobuf.sp]                     // caller's sp: the call pushed nothing
    str lr, [r0, #gobuf.pc]                     // return PC
    str r10, [r0, #gobuf.g]                     // whose state it is
    mov r11, #0                                 // for the words below
    str r11, [r0, #gobuf.lr]                    // no link to restore
    str r11, [r0, #gobuf.ret]                   // r0 on resume
    str r11, [r0, #gobuf.ctxt]                  // no closure
    bx lr                                       // to the caller, for the first time

// gogo(buf): goes on where buf says, on buf's goroutine, and clears what buf kept alive.
// Entry: sp+4 = buf. Never returns. A nil g faults, with r10 already changed. No call may stand between the
// change of sp and the end: whoever samples this PC relies on it. The last comparison sets Z and C, so that a
// resumed stack check takes its branch back to the start.
gogo:
    ldr r1, [sp, #4]                            // buf
    ldr r10, [r1, #gobuf.g]                     // g to run
    ldr r2, [r10]                               // fault here if it is nil
    ldr r2, =iscgo                              // a byte
    ldrb r2, [r2]                               // its value
    cmp r2, #0                                  // is there C code that wants to find g and m?
    blne save_gm                                // tell it; uses r0 and, by the call, lr
    ldr sp, [r1, #gobuf.sp]                     // onto its stack
    ldr lr, [r1, #gobuf.lr]                     // its link
    ldr r0, [r1, #gobuf.ret]                    // result that the resumed call sees
    ldr r7, [r1, #gobuf.ctxt]                   // closure context
    mov r11, #0                                 // for the words below
    str r11, [r1, #gobuf.sp]                    // stale from here on: hide it from the collector
    str r11, [r1, #gobuf.ret]                   // so is this
    str r11, [r1, #gobuf.lr]                    // so is this
    str r11, [r1, #gobuf.ctxt]                  // so is this
    cmp r11, r11                                // "same", for the conditional branch of a stack check
    ldr pc, [r1, #gobuf.pc]                     // continue where it stopped

// mcall(fn): saves the goroutine's state in g.sched and calls the code address fn with g on g0's stack.
// Entry: sp+4 = fn. fn never returns; the caller goes on by a later gogo(&g.sched). g0.sched is only read.
mcall:
    ldr r0, [sp, #4]                            // fn, while its stack is at hand
    str sp, [r10, #g.sched.sp]                  // caller's sp
    str lr, [r10, #g.sched.pc]                  // return PC
    mov r11, #0                                 // for the word below
    str r11, [r10, #g.sched.lr]                 // no link to restore
    str r10, [r10, #g.sched.g]                  // who will: g itself
    mov r1, r10                                 // the g that is left
    ldr r10, [r9, #m.g0]                        // g0
    cmp r10, r1                                 // already there?
    beq badmcall                                // refused: a branch, lr stays
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    sub sp, sp, #8                              // argument and, below it, room for fn's link
    str r1, [sp, #4]                            // argument: the g that was left
    blx r0                                      // fn(g)
    b badmcall2                                 // fn has returned: give up

// morestack: f's check found too little stack.
// Entry: sp as at f's entry, lr = PC in f, r1 = frame, r2 = argument bytes, r3 = f's return PC, r7 = context.
// Notes f in g.sched and f's caller in m.morebuf, then calls newstack on g0's stack. Never returns.
morestack:
    ldr r4, [r9, #m.g0]                         // g0
    cmp r10, r4                                 // the scheduler stack
    bleq abort                                  // can't grow
    str r1, [r9, #m.moreframesize]              // what f asks for
    str r2, [r9, #m.moreargsize]                // bytes of its arguments
    str r7, [r10, #g.sched.ctxt]                // f's closure context
    str sp, [r10, #g.sched.sp]                  // sp at f's entry
    str lr, [r10, #g.sched.pc]                  // PC in f
    str r3, [r10, #g.sched.lr]                  // link at f's entry
    str r3, [r9, #m.morebuf.pc]                 // PC in f's caller
    str sp, [r9, #m.morebuf.sp]                 // its sp
    add r3, sp, #4                              // where f's arguments begin
    str r3, [r9, #m.moreargp]                   // f's arguments, to be copied to the new segment
    str r10, [r9, #m.morebuf.g]                 // g
    ldr r10, [r9, #m.g0]                        // the thread runs g0
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    bl newstack                                 // make room for f; never returns
    bx lr                                       // not reached: keeps the call's return PC in this routine

// morestack_noctxt: as morestack, for an f without closure context.
// Entry: as morestack's, but r7 is anything. Never returns.
morestack_noctxt:
    mov r7, #0                                  // let nothing stale be kept alive
    b morestack                                 // the rest is the same

// lessstack: the return PC of a function that runs on a linked segment; nobody calls it.
// Entry: sp as at f's entry, r0 = result. Calls oldstack on g0's stack. Never returns.
lessstack:
    str r0, [r9, #m.cret]                       // the only register that is carried over
    ldr r10, [r9, #m.g0]                        // the thread runs g0
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    bl oldstack                                 // never comes back: nothing follows

// RawSyscall(trap, a1, a2, a3) (r1, r2, err): a system call that the scheduler does not hear of.
// Entry: sp+4 trap, sp+8..16 arguments; sp+20 r1, sp+24 r2, sp+28 err. Returns. r3-r5 go to the kernel as they are.
RawSyscall:
    ldr r7, [sp, #4]                            // trap
    ldr r0, [sp, #8]                            // a1
    ldr r1, [sp, #12]                           // a2
    ldr r2, [sp, #16]                           // a3
    svc 0                                       // into the kernel
    ldr r6, =0xfffff001                         // -4095
    cmp r0, r6                                  // above -4095 is an error, -4095 itself is not
    bls .ok                                     // no error
    mvn r1, #0                                  // -1
    str r1, [sp, #20]                           // r1: -1
    mov r2, #0                                  // no second result
    str r2, [sp, #24]                           // r2
    rsb r0, r0, #0                              // the error's number
    str r0, [sp, #28]                           // err
    bx lr                                       // to the caller
.ok:
    str r0, [sp, #20]                           // r1
    mov r0, #0                                  // no error number
    str r0, [sp, #24]                           // r2: 0 here, unlike RawSyscall6
    str r0, [sp, #28]                           // err
    bx lr                                       // to the caller

// RawSyscall6(trap, a1, ..., a6) (r1, r2, err): the same with six arguments.
// Entry: sp+4 trap, sp+8..28 arguments; sp+32 r1, sp+36 r2, sp+40 err. Returns.
RawSyscall6:
    ldr r7, [sp, #4]                            // trap
    ldr r0, [sp, #8]                            // a1
    ldr r1, [sp, #12]                           // a2
    ldr r2, [sp, #16]                           // a3
    ldr r3, [sp, #20]                           // a4
    ldr r4, [sp, #24]                           // a5
    ldr r5, [sp, #28]                           // a6
    svc 0                                       // into the kernel
    ldr r6, =0xfffff001                         // -4095
    cmp r0, r6                                  // above -4095 is an error, -4095 itself is not
    bls .ok                                     // no error
    mvn r1, #0                                  // -1
    str r1, [sp, #32]                           // r1: -1
    mov r2, #0                                  // no second result
    str r2, [sp, #36]                           // r2
    rsb r0, r0, #0                              // the error's number
    str r0, [sp, #40]                           // err
    bx lr                                       // to the caller
.ok:
    str r0, [sp, #32]                           // r1
    str r1, [sp, #36]                           // r2: Linux leaves a2 there
    mov r0, #0                                  // no error number
    str r0, [sp, #40]                           // err
    bx lr                                       // to the caller
