// Stack-switching routines of Go's runtime. Era: 2011 (before Go 1: linked segments, nothing is ever copied).
// Architecture: amd64.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                m.tls + 16 +--------------+ <- fs base
//   +-----------------------------+                                | m            |    fs:[TLS.m]
//   | Stktop: guard, base of the  |                     m.tls + 8  +--------------+
//   | older segment; Gobuf of the |                                | g            |    fs:[TLS.g]
//   | function that split;        |                     m.tls      +--------------+
//   | argsize, argp, free         |
//   +-----------------------------+ <- g.stackbase      g.sched, m.morebuf: a Gobuf = sp pc g
//   | copy of f's arguments       |                     m.g0: the goroutine that owns the scheduler stack
//   | lessstack as return PC      |                     g0.sched.sp: where every visit to that stack begins;
//   | f's frame, its callees'     |                     read by mcall, morestack, lessstack, written by none
//   |      |                      |
//   |      v              <- rsp  |
//   +- - - - - - - - - - - - - - -+ <- g.stackguard = bottom + StackGuard, never anything else
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's ret
//
//   rsp+16  second argument     rsp+16  f's arguments   to m.morebuf.sp, m.moreargp
//   rsp+8   first argument      rsp+8   f's return PC   to m.morebuf.pc        rsp  -> copy of f's arguments
//   rsp  -> return PC           rsp  -> PC in f         to m.morepc            rsp-8   lessstack, used up
//
//   m.moreframesize and m.moreargsize, 4 bytes each, are written as one word: args << 32 | frame.
//   No register survives a call, except rsp; there is no closure context. rax: result.

// The stack check in front of a splittable function: name is its own label, frame the bytes below rsp at entry
// without the return PC, args the bytes of its arguments (whole words).
// more is the variant of morestack for the two sizes it has to pass. The hint is frame + 160 rounded down to 8
// where a segment of StackMin bytes could be too small for it, that is where frame + 160 + args > 4096; else 0.
//
//   hint  args             more         form              sizes
//   0     0                morestack00  check_FORM        -
//   0     8, 16 ... 48     morestack8   check_FORM        -                    (16, 24, 32, 40, 48 likewise)
//   0     any other        morestack01  check_FORM_ax     args
//   some  0                morestack10  check_FORM_ax     hint
//   some  any other        morestack11  check_FORM_ax     args * 0x100000000 + hint
//
// A huge frame always has a hint: there is only check_huge_ax.
// newstack goes on right after the call, on another segment: the check is not made again. Uses rax, rcx.

// frame <= StackSmall: rsp itself has to be above the guard.
.macro compare_small
    mov rcx, qword ptr fs:[TLS.g]               // g
    cmp rsp, qword ptr [rcx + g.stackguard]     // enough left?
    ja .body                                    // yes: go on
.endm

// StackSmall < frame < StackBig: the lowest address of the frame, less the credit, has to be.
.macro compare_medium frame
    mov rcx, qword ptr fs:[TLS.g]               // g
    lea rax, [rsp + StackSmall - (\frame)]      // where the frame will end, StackSmall bytes forgiven
    cmp rax, qword ptr [rcx + g.stackguard]     // enough left?
    ja .body                                    // yes: go on
.endm

.macro check_small name, frame, args, more
    compare_small                               // is there room for a small frame?
    call \more                                  // comes back on a new segment, with lessstack as return PC
.body:
.endm

.macro check_small_ax name, frame, args, more, sizes
    compare_small                               // is there room for a small frame?
    mov rax, \sizes                             // what f needs, as the variant takes it
    call \more                                  // comes back on a new segment, with lessstack as return PC
.body:
.endm

.macro check_medium name, frame, args, more
    compare_medium \frame                       // is there room for this frame?
    call \more                                  // comes back on a new segment, with lessstack as return PC
.body:
.endm

.macro check_medium_ax name, frame, args, more, sizes
    compare_medium \frame                       // is there room for this frame?
    mov rax, \sizes                             // what f needs, as the variant takes it
    call \more                                  // comes back on a new segment, with lessstack as return PC
.body:
.endm

// frame >= StackBig: rsp - frame could wrap; nothing is compared, a new segment is taken every time.
.macro check_huge_ax name, frame, args, more, sizes
    mov rax, \sizes                             // what f needs, as the variant takes it
    call \more                                  // comes back on a new segment, with lessstack as return PC
.body:
.endm

// The call stands in front of the body: nothing follows it.
.macro check_tail more
.endm

// What all variants of morestack end with: both sizes in one store, then on through rax.
.macro store_sizes
    mov qword ptr [rbx + m.moreframesize], rax  // frame and arguments: m.moreargsize is the upper half
    mov rax, morestack                          // the common part
    jmp rax                                     // goes on there
.endm

// The variants for so many words of arguments and no frame hint. The count goes over the stack, though that is
// short already.
.macro argument_words count
    push \count                                 // the number of words
    mov rbx, qword ptr fs:[TLS.m]               // m
    pop rax                                     // where it is used
    shl rax, 35                                 // words to bytes, into the upper half
    store_sizes                                 // no frame hint in the lower half
.endm

// gosave(buf): notes in buf where its caller goes on, as if gosave had just returned.
// Entry: rsp+8 = buf. Returns. Uses rax rbx.
gosave:
    mov rax, qword ptr [rsp + 8]                // buf
    lea rbx, [rsp + 8]                          // caller's rsp, the return PC popped
    mov qword ptr [rax + gobuf.sp], rbx         // where its stack will be
    mov rbx, qword ptr [rsp]                    // return PC
    mov qword ptr [rax + gobuf.pc], rbx         // where it will continue
    mov rbx, qword ptr fs:[TLS.g]               // whose state it is
    mov qword ptr [rax + gobuf.g], rbx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf, ret): goes on where buf says, on buf's goroutine, with ret as the result of the call it left in.
// Entry: rsp+8 = buf, rsp+16 = ret. Never returns; buf stays as it is. A nil g faults before anything has changed.
gogo:
    mov rax, qword ptr [rsp + 16]               // result that the resumed call sees
    mov rbx, qword ptr [rsp + 8]                // buf
    mov rdx, qword ptr [rbx + gobuf.g]          // g to run
    mov rcx, qword ptr [rdx]                    // fault here if it is nil
    mov qword ptr fs:[TLS.g], rdx               // the thread runs it now
    mov rsp, qword ptr [rbx + gobuf.sp]         // onto its stack
    mov rbx, qword ptr [rbx + gobuf.pc]         // where it stopped
    jmp rbx                                     // continue there

// gogocall(buf, fn): as gogo, but calls the code address fn first, as if from where buf says.
// Entry: rsp+8 = buf, rsp+16 = fn. Never returns. A nil g faults, with the thread's g already changed.
gogocall:
    mov rax, qword ptr [rsp + 16]               // fn
    mov rbx, qword ptr [rsp + 8]                // buf
    mov rdx, qword ptr [rbx + gobuf.g]          // g to run
    mov qword ptr fs:[TLS.g], rdx               // the thread runs it now
    mov rcx, qword ptr [rdx]                    // fault here if it is nil
    mov rsp, qword ptr [rbx + gobuf.sp]         // onto its stack
    mov rbx, qword ptr [rbx + gobuf.pc]         // where it stopped
    push rbx                                    // where fn returns to
    jmp rax                                     // fn

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
    jne .switch                                 // no: switch
    call badmcall                               // refused: never returns
.switch:
    mov qword ptr fs:[TLS.g], rsi               // the thread runs g0
    mov rsp, qword ptr [rsi + g.sched.sp]       // onto its stack
    push rax                                    // argument: the g that was left
    call rdi                                    // fn(g)
    pop rax                                     // fn has returned: drop its argument
    call badmcall2                              // and give up
    ret                                         // never reached

// morestack: f's check found too little stack; the variant has stored the sizes and loaded m.
// Entry: rsp -> PC in f, rsp+8 = f's return PC, rbx = m.
// Notes f's caller in m.morebuf and f in m.morepc, then calls newstack on g0's stack. Never returns. g.sched is
// left alone: it may be stale while the goroutine runs.
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
    mov rax, qword ptr [rsp]                    // PC in f: it goes on there on the new segment
    mov qword ptr [rbx + m.morepc], rax         // where f goes on
    mov rbp, qword ptr [rbx + m.g0]             // g0: where to go
    mov qword ptr fs:[TLS.g], rbp               // the thread runs g0
    mov rsp, qword ptr [rbp + g.sched.sp]       // onto its stack
    call newstack                               // make room for f; never returns
    mov eax, 0x1003                             // it returned: crash
    mov qword ptr [rax], 0                      // crash

// The variants of morestack: what f's check calls, by the sizes it has to pass.
// Entry: rsp -> PC in f, rsp+8 = f's return PC. They load rbx = m, store the sizes and jump to morestack.
// Never return.

// morestack00: neither size.
morestack00:
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov eax, 0                                  // no sizes known
    store_sizes                                 // and on to morestack

// morestack10: eax = frame hint.
morestack10:
    mov rbx, qword ptr fs:[TLS.m]               // m
    mov eax, eax                                // clear the upper half: no arguments
    store_sizes                                 // and on to morestack

// morestack01: eax = bytes of arguments.
morestack01:
    mov rbx, qword ptr fs:[TLS.m]               // m
    shl rax, 32                                 // clear the lower half: no hint
    store_sizes                                 // and on to morestack

// morestack11: rax = args << 32 | frame hint.
morestack11:
    mov rbx, qword ptr fs:[TLS.m]               // m
    store_sizes                                 // and on to morestack

// morestack8 to morestack48: the name says how many bytes of arguments; no hint. One word below rsp is used.

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

inherit lessstack from 2014

inherit RawSyscall from 2014

inherit RawSyscall6 from 2014
