// Stack-switching routines of Go's runtime. Era: 2011 (before Go 1: linked segments, nothing is ever copied).
// Architecture: arm.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                r10  g
//   +-----------------------------+                     r9   m
//   | Stktop: guard, base of the  |                     both are live in all code
//   | older segment; Gobuf of the |
//   | function that split;        |                     g.sched, m.morebuf: a Gobuf = sp pc g
//   | argsize, argp, free         |                     m.g0: the goroutine that owns the scheduler stack
//   +-----------------------------+ <- g.stackbase      g0.sched.sp: where every visit to that stack begins;
//   | copy of f's arguments       |                     read by mcall, morestack, lessstack, written by none
//   | 0: room for a link          |
//   | f's frame, its callees'     |
//   |      |                      |
//   |      v              <- sp   |
//   +- - - - - - - - - - - - - - -+ <- g.stackguard = bottom + StackGuard, never anything else
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's return
//
//   sp+12  third argument
//   sp+8   second argument      sp+4   f's arguments    to m.moreargp          sp+4   copy of f's arguments
//   sp+4   first argument       sp  -> (link of f's     to m.morebuf.sp        sp  -> 0
//   sp  -> (caller's: its link)         caller)
//   lr     return PC            lr     PC in f          to m.morepc
//                               r3     f's return PC    to m.morebuf.pc
//
//   No register survives a call, except sp, r9, r10; there is no closure context. r0: result.
//   r11 is the assembler's scratch register.

// The stack check in front of a splittable function: name is its own label, frame the bytes below sp at entry
// with the saved link, args the bytes of its arguments (whole words), more is morestack.
// The frame is passed in every form, with 160 bytes added unless it is huge: there is no hint.
// newstack goes on right after the call, on another segment and with lessstack in lr: the check is not made
// again. Equality with the guard does not call, other than on x86. Uses r1, r2, r3 (and r11).

.macro call_more frame, args, more
    ldrlo r1, =\frame                           // size of the frame, for m.moreframesize
    ldrlo r2, =\args                            // size of the arguments, for m.moreargsize
    movlo r3, lr                                // f's return PC, before the call takes its place
    bllo \more                                  // comes back on a new segment
.endm

// frame < StackSmall: sp itself must not be below the guard.
.macro check_small name, frame, args, more
    ldr r1, [r10, #g.stackguard]                // guard
    cmp sp, r1                                  // unsigned, lower: too little left
    call_more \frame + 160, \args, \more        // what the check was for
.body:
.endm

// StackSmall <= frame < StackBig: the lowest address of the frame must not be; no credit as on x86.
.macro check_medium name, frame, args, more
    ldr r1, [r10, #g.stackguard]                // guard
    ldr r11, =\frame                            // any frame size; few fit an instruction
    sub r2, sp, r11                             // where the frame will end
    cmp r2, r1                                  // lower: too little left
    call_more \frame + 160, \args, \more        // what the check was for
.body:
.endm

// frame >= StackBig: sp - frame could wrap; nothing is compared, a new segment is taken every time.
.macro check_huge name, frame, args, more
    ldr r1, =\frame                             // size of the frame, for m.moreframesize
    ldr r2, =\args                              // size of the arguments, for m.moreargsize
    mov r3, lr                                  // f's return PC, before the call takes its place
    bl \more                                    // comes back on a new segment
.body:
.endm

// The call stands in front of the body: nothing follows it.
.macro check_tail more
.endm

// gosave(buf): notes in buf where its caller goes on, as if gosave had just returned.
// Entry: sp+4 = buf, lr = return PC. Returns. Uses r0.
gosave:
    ldr r0, [sp, #4]                            // buf
    str sp, [r0, #gobuf.sp]                     // caller's sp: the call pushed nothing
    str lr, [r0, #gobuf.pc]                     // return PC
    str r10, [r0, #gobuf.g]                     // whose state it is
    bx lr                                       // to the caller, for the first time

// gogo(buf, ret): goes on where buf says, on buf's goroutine, with ret as the result of the call it left in.
// Entry: sp+4 = buf, sp+8 = ret. Never returns; buf stays as it is, lr too. A nil g faults, with r10 already changed.
gogo:
    ldr r1, [sp, #4]                            // buf
    ldr r0, [sp, #8]                            // result that the resumed call sees
    ldr r10, [r1, #gobuf.g]                     // g to run
    ldr r2, [r10]                               // fault here if it is nil
    ldr sp, [r1, #gobuf.sp]                     // onto its stack
    ldr pc, [r1, #gobuf.pc]                     // continue where it stopped

// gogocall(buf, fn, unused): as gogo, but calls the code address fn first, as if from where buf says.
// Entry: sp+4 = buf, sp+8 = fn. Never returns. A nil g faults, with r10 already changed.
gogocall:
    ldr r0, [sp, #4]                            // buf
    ldr r1, [sp, #8]                            // fn
    ldr r2, [sp, #12]                           // third argument: nothing is made of it
    ldr r10, [r0, #gobuf.g]                     // g to run
    ldr r3, [r10]                               // fault here if it is nil
    ldr sp, [r0, #gobuf.sp]                     // onto its stack
    ldr lr, [r0, #gobuf.pc]                     // where fn returns to
    mov pc, r1                                  // fn

// mcall(fn): saves the goroutine's state in g.sched and calls the code address fn with g on g0's stack.
// Entry: sp+4 = fn. fn never returns; the caller goes on by a later gogo(&g.sched). g0.sched is only read.
mcall:
    ldr r0, [sp, #4]                            // fn, while its stack is at hand
    str sp, [r10, #g.sched.sp]                  // caller's sp
    str lr, [r10, #g.sched.pc]                  // return PC
    str r10, [r10, #g.sched.g]                  // who will: g itself
    mov r1, r10                                 // the g that is left
    ldr r10, [r9, #m.g0]                        // g0
    cmp r10, r1                                 // already there?
    bleq badmcall                               // refused: never returns
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    sub sp, sp, #8                              // argument and, below it, room for fn's link
    str r1, [sp, #4]                            // argument: the g that was left
    blx r0                                      // fn(g)
    bl badmcall2                                // fn has returned: give up
    bx lr                                       // never reached

// morestack: f's check found too little stack.
// Entry: sp as at f's entry, lr = PC in f, r1 = frame, r2 = argument bytes, r3 = f's return PC.
// Notes f's caller in m.morebuf and f in m.morepc, then goes to newstack on g0's stack. Never returns. g.sched is
// left alone: it may be stale while the goroutine runs.
morestack:
    ldr r4, [r9, #m.g0]                         // g0
    cmp r10, r4                                 // the scheduler stack
    bleq abort                                  // can't grow
    str r1, [r9, #m.moreframesize]              // what f asks for
    str r2, [r9, #m.moreargsize]                // bytes of its arguments
    str r3, [r9, #m.morebuf.pc]                 // PC in f's caller
    str sp, [r9, #m.morebuf.sp]                 // its sp
    add r3, sp, #4                              // where f's arguments begin
    str r3, [r9, #m.moreargp]                   // f's arguments, to be copied to the new segment
    str r10, [r9, #m.morebuf.g]                 // g
    str lr, [r9, #m.morepc]                     // PC in f: it goes on there on the new segment
    ldr r10, [r9, #m.g0]                        // the thread runs g0
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    b newstack                                  // lr still leads into f

// lessstack: the return PC of a function that runs on a linked segment; nobody calls it.
// Entry: sp as at f's entry, r0 = result. Goes to oldstack on g0's stack. Never returns.
lessstack:
    str r0, [r9, #m.cret]                       // the only register that is carried over
    ldr r10, [r9, #m.g0]                        // the thread runs g0
    ldr sp, [r10, #g.sched.sp]                  // onto its stack
    b oldstack                                  // free the segment, resume f's caller; never returns

inherit RawSyscall from 2014

inherit RawSyscall6 from 2014
