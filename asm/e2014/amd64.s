// Stack-switching routines of Go's runtime. Era: 2014 (Go 1.3: the top segment is copied when all its frames
// allow it, else a new segment is linked). Architecture: amd64.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                m.tls + 16 +--------------+ <- fs base
//   +-----------------------------+                                | m            |    fs:[TLS.m]
//   | Stktop: guard, base of the  |                     m.tls + 8  +--------------+
//   | older segment; Gobuf of the |                                | g            |    fs:[TLS.g]
//   | function that split;        |                     m.tls      +--------------+
//   | argsize, argp               |
//   +-----------------------------+ <- g.stackbase      g.sched, m.morebuf: a Gobuf = sp pc g ctxt ret lr
//   | copy of f's arguments       |                     m.g0: the goroutine that owns the scheduler stack
//   | lessstack as return PC      |                     g0.sched.sp: where every visit to that stack begins;
//   | f's frame, its callees'     |                     read by mcall, morestack, lessstack, written by none
//   |      |                      |
//   |      v              <- rsp  |
//   +- - - - - - - - - - - - - - -+ <- g.stackguard0 = bottom + StackGuard (or StackPreempt, StackPoison)
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's ret
//
//   rsp+16  second argument     rsp+16  f's arguments   to m.morebuf.sp, m.moreargp
//   rsp+8   first argument      rsp+8   f's return PC   to m.morebuf.pc        rsp  -> copy of f's arguments
//   rsp  -> return PC           rsp  -> PC in f         to g.sched.pc          rsp-8   lessstack, used up
//
//   m.moreframesize and m.moreargsize, 4 bytes each, are written as one word: args << 32 | frame.
//   No register survives a call, except rsp. rdx: closure context at the entry of a function. rax: result.

// The stack check in front of a splittable function: name is its own label, frame the bytes below rsp at entry
// without the return PC, args the bytes of its arguments (whole words).
// more is the variant of morestack for the two sizes it has to pass, with _noctxt where there is no closure
// context. The hint is the frame where a segment of StackMin bytes could be too small for it, that is where
// 88 + args + 8 + frame + 8 + 128 >= StackMin; else 0.
//
//   hint  args             more         form              sizes
//   0     0                morestack00  check_FORM        -
//   0     8, 16 ... 48     morestack8   check_FORM        -                    (16, 24, 32, 40, 48 likewise)
//   0     any other        morestack01  check_FORM_ax     args
//   some  0                morestack10  check_FORM_ax     hint
//   some  any other        morestack11  check_FORM_ax     args * 0x100000000 + hint
//
// A huge frame always has a hint: there is only check_huge_ax.
// newstack puts the PC it resumes back to the function's start, found by decoding the jump after the call: the
// check is made again. Uses rax, rcx (and rsi when huge); rdx must stay.

.macro call_more name, more
    call \more                                  // notes the PC of the next line
    jmp \name                                   // newstack decodes it to find the start of f
.endm

// frame <= StackSmall: rsp itself has to be above the guard.
.macro compare_small
    mov rcx, qword ptr fs:[TLS.g]               // g
    cmp rsp, qword ptr [rcx + g.stackguard0]    // enough left?
    ja .body                                    // unsigned: a special guard is above every rsp
.endm

// StackSmall < frame <= StackBig: the lowest address of the frame, less the credit, has to be.
.macro compare_medium frame
    mov rcx, qword ptr fs:[TLS.g]               // g
    lea rax, [rsp + StackSmall - (\frame)]      // where the frame will end, StackSmall bytes forgiven
    cmp rax, qword ptr [rcx + g.stackguard0]    // enough left?
    ja .body                                    // yes: go on
.endm

.macro check_small name, frame, args, more
    compare_small                               // is there room for a small frame?
    call_more \name, \more                      // what the check was for
.body:
.endm

.macro check_small_ax name, frame, args, more, sizes
    compare_small                               // is there room for a small frame?
    mov rax, \sizes                             // what f needs, as the variant takes it
    call_more \name, \more                      // what the check was for
.body:
.endm

.macro check_medium name, frame, args, more
    compare_medium \frame                       // is there room for this frame?
    call_more \name, \more                      // what the check was for
.body:
.endm

.macro check_medium_ax name, frame, args, more, sizes
    compare_medium \frame                       // is there room for this frame?
    mov rax, \sizes                             // what f needs, as the variant takes it
    call_more \name, \more                      // what the check was for
.body:
.endm

// frame > StackBig: rsp - frame could wrap, so the distance above the guard is compared. Of the special guards
// only StackPreempt is recognised; any other one makes the distance look large and the frame passes unchecked.
.macro check_huge_ax name, frame, args, more, sizes
    mov rcx, qword ptr fs:[TLS.g]               // g
    mov rsi, qword ptr [rcx + g.stackguard0]    // guard
    cmp rsi, StackPreempt                       // asked to give way?
    je .more                                    // yes: grow
    lea rax, [rsp + StackGuard]                 // StackGuard on both sides: rsp may be a little below the guard
    sub rax, rsi                                // bytes above the guard + StackGuard
    cmp rax, \frame + StackGuard - StackSmall   // enough left?
    ja .body                                    // yes: go on
.more:
    mov rax, \sizes                             // what f needs, as the variant takes it
    call_more \name, \more                      // what the check was for
.body:
.endm

// The call stands in front of the body: nothing follows it.
.macro check_tail more
.endm

// What all variants of morestack end with: both sizes in one store, then on through rax.
.macro store_sizes sizes
    mov qword ptr [rbx + m.moreframesize], \sizes  // frame and arguments: m.moreargsize is the upper half
    mov rax, morestack                          // the common part
    jmp rax                                     // goes on there
.endm

// The variants for so many words of arguments and no frame hint.
.macro argument_words count
    mov r8d, \count                             // the number of words
    mov rbx, qword ptr fs:[TLS.m]               // m
    shl r8, 35                                  // words to bytes, into the upper half
    store_sizes r8                              // no frame hint in the lower half
.endm

// A variant without closure context.
.macro without_context variant
    mov edx, 0                                  // let nothing stale be kept alive
    jmp \variant                                // the sizes are the same
.endm

// gosave(buf): notes in buf where its caller goes on, as if gosave had just returned.
// Entry: rsp+8 = buf. Returns. Uses rax rbx.
gosave:
    mov rax, qword ptr [rsp + 8]                // buf
    lea rbx, [rsp + 8]                          // caller's rsp, the return PC popped
    mov qword ptr [rax + gobuf.sp], rbx         // where its stack will be
    mov rbx, qword ptr [rsp]                    // return PC
    mov qword ptr [rax + gobuf.pc], rbx         // where it will continue
    mov qword ptr [rax + gobuf.ret], 0          // rax on resume
    mov qword ptr [rax + gobuf.ctxt], 0         // no closure
    mov rbx, qword ptr fs:[TLS.g]               // whose state it is
    mov qword ptr [rax + gobuf.g], rbx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf): goes on where buf says, on buf's goroutine, and clears what buf kept alive.
// Entry: rsp+8 = buf. Never returns. A nil g faults before anything has changed.
gogo:
    mov rbx, qword ptr [rsp + 8]                // buf
    mov rdx, qword ptr [rbx + gobuf.g]          // g to run
    mov rcx, qword ptr [rdx]                    // fault here if it is nil
    mov qword ptr fs:[TLS.g], rdx               // the thread runs it now
    mov rsp, qword ptr [rbx + gobuf.sp]         // onto its stack
    mov rax, qword ptr [rbx + gobuf.ret]        // result that the resumed call sees
    mov rdx, qword ptr [rbx + gobuf.ctxt]       // closure context
    mov qword ptr [rbx + gobuf.sp], 0           // stale from here on: hide it from the collector
    mov qword ptr [rbx + gobuf.ret], 0          // so is this
    mov qword ptr [rbx + gobuf.ctxt], 0         // so is this
    mov rbx, qword ptr [rbx + gobuf.pc]         // where it stopped
    jmp rbx                                     // continue there

// mcall(fn): saves the goroutine's state in g.sched and calls the code address fn with g on g0's stack.
// Entry: rsp+8 = fn. fn never returns; the caller goes on by a later gogo(&g.sched). g0.sched is only read.
mcall:
    mov rdi, qword ptr [rsp + 8]                // fn, while its stack is at hand
    mov rax, qword ptr fs:[TLS.g]               // g, to save and to hand over
    mov rbx, qword ptr [rsp]                    // return PC
    mov qword ptr [rax + g.sched.pc], rbx       // where g will continue
    lea rbx, [rsp + 8]                          // caller's rsp
    mov qword ptr [rax + g.sched.sp], rbx       // where its stack will be
    mov qword ptr [rax + g.sched.g], rax        // who will: g itself
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov rsi, qword ptr [rbx + m.g0]             // g0
    cmp rsi, rax                                // already there?
    je badmcall                                 // refused: a jump, nothing is pushed
    mov qword ptr fs:[TLS.g], rsi               // the thread runs g0
    mov rsp, qword ptr [rsi + g.sched.sp]       // onto its stack
    push rax                                    // argument: the g that was left
    call rdi                                    // fn(g)
    pop rax                                     // fn has returned: drop its argument
    jmp badmcall2                               // and give up

// morestack: f's check found too little stack; the variant has stored the sizes and loaded m.
// Entry: rsp -> PC in f, rsp+8 = f's return PC, rbx = m, rdx = closure context.
// Notes f's caller in m.morebuf and f in g.sched, then calls newstack on g0's stack. Never returns.
morestack:
    mov rsi, qword ptr [rbx + m.g0]             // g0
    cmp qword ptr fs:[TLS.g], rsi               // the scheduler stack
    jne .split                                  // no: a stack that can grow
    int3                                        // can't grow
.split:
    mov rax, qword ptr [rsp + 8]                // PC in f's caller
    mov qword ptr [rbx + m.morebuf.pc], rax     // where f's caller goes on
    lea rax, [rsp + 16]                         // rsp of f's caller, which is where f's arguments begin
    mov qword ptr [rbx + m.morebuf.sp], rax     // its stack
    mov qword ptr [rbx + m.moreargp], rax       // f's arguments, to be copied to the new segment
    mov rsi, qword ptr fs:[TLS.g]               // g
    mov qword ptr [rbx + m.morebuf.g], rsi      // who it is
    mov rax, qword ptr [rsp]                    // PC in f
    mov qword ptr [rsi + g.sched.pc], rax       // where f goes on
    mov qword ptr [rsi + g.sched.g], rsi        // g itself
    lea rax, [rsp + 8]                          // rsp at f's entry
    mov qword ptr [rsi + g.sched.sp], rax       // f's stack, where it has no frame yet
    mov qword ptr [rsi + g.sched.ctxt], rdx     // f's closure context
    mov rbp, qword ptr [rbx + m.g0]             // g0: where to go
    mov qword ptr fs:[TLS.g], rbp               // the thread runs g0
    mov rsp, qword ptr [rbp + g.sched.sp]       // onto its stack
    call newstack                               // make room for f; never returns
    mov eax, 0x1003                             // it returned: crash
    mov qword ptr [rax], 0                      // crash

// morestack_noctxt: as morestack, for an f without closure context.
// Entry: as morestack's, but rdx is anything. Never returns.
morestack_noctxt:
    without_context morestack                   // the rest is the same

// The variants of morestack: what f's check calls, by the sizes it has to pass.
// Entry: rsp -> PC in f, rsp+8 = f's return PC, rdx = closure context. They load rbx = m, store the sizes and
// jump to morestack. Never return.

// morestack00: neither size.
morestack00:
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov eax, 0                                  // no sizes known
    store_sizes rax                             // and on to morestack

// morestack10: eax = frame hint.
morestack10:
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov eax, eax                                // clear the upper half: no arguments
    store_sizes rax                             // and on to morestack

// morestack01: eax = bytes of arguments.
morestack01:
    mov rbx, qword ptr fs:[TLS.m]               // m
    shl rax, 32                                 // clear the lower half: no hint
    store_sizes rax                             // and on to morestack

// morestack11: rax = args << 32 | frame hint.
morestack11:
    mov rbx, qword ptr fs:[TLS.m]               // m
    store_sizes rax                             // and on to morestack

// morestack8 to morestack48: the name says how many bytes of arguments; no hint. The count comes in r8, so that
// nothing is pushed on a stack that is short already.

// morestack8: 1 word of arguments.
morestack8:
    argument_words 1                            // and on to morestack

// morestack16: 2 words of arguments.
morestack16:
    argument_words 2                            // and on to morestack

// morestack24: 3 words of arguments.
morestack24:
    argument_words 3                            // and on to morestack

// morestack32: 4 words of arguments.
morestack32:
    argument_words 4                            // and on to morestack

// morestack40: 5 words of arguments.
morestack40:
    argument_words 5                            // and on to morestack

// morestack48: 6 words of arguments.
morestack48:
    argument_words 6                            // and on to morestack

// The same for an f without closure context: rdx is anything at entry.

// morestack00_noctxt: morestack00 without closure context.
morestack00_noctxt:
    without_context morestack00                 // and on to the variant with one

// morestack10_noctxt: morestack10 without closure context.
morestack10_noctxt:
    without_context morestack10                 // and on to the variant with one

// morestack01_noctxt: morestack01 without closure context.
morestack01_noctxt:
    without_context morestack01                 // and on to the variant with one

// morestack11_noctxt: morestack11 without closure context.
morestack11_noctxt:
    without_context morestack11                 // and on to the variant with one

// morestack8_noctxt: morestack8 without closure context.
morestack8_noctxt:
    without_context morestack8                  // and on to the variant with one

// morestack16_noctxt: morestack16 without closure context.
morestack16_noctxt:
    without_context morestack16                 // and on to the variant with one

// morestack24_noctxt: morestack24 without closure context.
morestack24_noctxt:
    without_context morestack24                 // and on to the variant with one

// morestack32_noctxt: morestack32 without closure context.
morestack32_noctxt:
    without_context morestack32                 // and on to the variant with one

// morestack40_noctxt: morestack40 without closure context.
morestack40_noctxt:
    without_context morestack40                 // and on to the variant with one

// morestack48_noctxt: morestack48 without closure context.
morestack48_noctxt:
    without_context morestack48                 // and on to the variant with one

// lessstack: the return PC of a function that runs on a linked segment; nobody calls it.
// Entry: rsp just above the used return slot, rax = result. Calls oldstack on g0's stack. Never returns.
lessstack:
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov qword ptr [rbx + m.cret], rax           // the only register that is carried over
    mov rbp, qword ptr [rbx + m.g0]             // g0: where to go
    mov qword ptr fs:[TLS.g], rbp               // the thread runs g0
    mov rsp, qword ptr [rbp + g.sched.sp]       // onto its stack
    call oldstack                               // free the segment, resume f's caller; never returns
    mov eax, 0x1004                             // it returned: crash
    mov qword ptr [rax], 0                      // crash

// RawSyscall(trap, a1, a2, a3) (r1, r2, err): a system call that the scheduler does not hear of.
// Entry: rsp+8 trap, rsp+16..32 arguments; rsp+40 r1, rsp+48 r2, rsp+56 err. Returns. The kernel destroys rcx, r11.
RawSyscall:
    mov rdi, qword ptr [rsp + 16]               // a1
    mov rsi, qword ptr [rsp + 24]               // a2
    mov rdx, qword ptr [rsp + 32]               // a3
    mov r10d, 0                                 // no a4
    mov r8d, 0                                  // no a5
    mov r9d, 0                                  // no a6
    mov rax, qword ptr [rsp + 8]                // trap
    syscall                                     // into the kernel
    cmp rax, 0xfffffffffffff001                 // above -4095 is an error, -4095 itself is not
    jbe .ok                                     // no error
    mov qword ptr [rsp + 40], -1                // r1
    mov qword ptr [rsp + 48], 0                 // r2
    neg rax                                     // the error's number
    mov qword ptr [rsp + 56], rax               // err
    ret                                         // to the caller
.ok:
    mov qword ptr [rsp + 40], rax               // r1
    mov qword ptr [rsp + 48], rdx               // r2: Linux leaves a3 there
    mov qword ptr [rsp + 56], 0                 // err
    ret                                         // to the caller

// RawSyscall6(trap, a1, ..., a6) (r1, r2, err): the same with six arguments.
// Entry: rsp+8 trap, rsp+16..56 arguments; rsp+64 r1, rsp+72 r2, rsp+80 err. Returns.
RawSyscall6:
    mov rdi, qword ptr [rsp + 16]               // a1
    mov rsi, qword ptr [rsp + 24]               // a2
    mov rdx, qword ptr [rsp + 32]               // a3
    mov r10, qword ptr [rsp + 40]               // a4
    mov r8, qword ptr [rsp + 48]                // a5
    mov r9, qword ptr [rsp + 56]                // a6
    mov rax, qword ptr [rsp + 8]                // trap
    syscall                                     // into the kernel
    cmp rax, 0xfffffffffffff001                 // above -4095 is an error, -4095 itself is not
    jbe .ok                                     // no error
    mov qword ptr [rsp + 64], -1                // r1
    mov qword ptr [rsp + 72], 0                 // r2
    neg rax                                     // the error's number
    mov qword ptr [rsp + 80], rax               // err
    ret                                         // to the caller
.ok:
    mov qword ptr [rsp + 64], rax               // r1
    mov qword ptr [rsp + 72], rdx               // r2: Linux leaves a3 there
    mov qword ptr [rsp + 80], 0                 // err
    ret                                         // to the caller
