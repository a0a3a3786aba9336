// Stack-switching routines of Go's runtime. Era: modern (Go 1.27, contiguous stacks). Architecture: amd64.
//
// Where g lives: in the thread-local word fs:[TLS.g], and mirrored in r14 while code of the register ABI runs.
// m is g.m. Closure context: rdx. Frame pointer: rbp. Only mcall and Syscall6 take arguments in registers; all
// others use the stack ABI: first argument word just above the return PC.
//
//      a stack-ABI call                                a frame of the register ABI
//
//      |       ...        |                            |       ...        |
//      |   argument 2     |  rsp + 16                  |  spill slots     |  entry rsp + 8
//      |   argument 1     |  rsp + 8                   +------------------+
//      +------------------+                            |    return PC     |  entry rsp
//      |    return PC     |  rsp at entry              |   caller's rbp   |  <- rbp
//      +------------------+                            |     locals       |  F = rbp's slot and locals
//                                                      +------------------+  <- rsp
//
//      mcall: one goroutine leaves, g0 runs fn
//
//          stack of g                                      stack of g0
//      |       ...        |                            |  mstart's frames |
//      |  caller's frame  |  <- saved g.sched.sp       +------------------+  <- g0.sched.sp: read, never written
//      |    return PC     |  -> saved g.sched.pc       |   the old g      |  home of fn's argument
//      |   caller's rbp   |  -> saved g.sched.bp       |  PC in mcall     |  <- rsp in fn
//      +------------------+                            +------------------+
//
//      morestack: called by the check at the entry of f
//
//          stack of g                                      what is written down
//      |  frame of f's    |
//      |     caller       |  <- rsp + 16               m.morebuf.sp, with .pc = f's return PC, .g = g
//      |  f's return PC   |  <- rsp + 8                g.sched.sp,   with .pc = PC in f, .bp = rbp, .ctxt = rdx
//      |     PC in f      |  <- rsp at entry
//      +------------------+
//
//      rawVforkSyscall: parent and child share this stack while the child runs
//
//      |  a3, a2, a1, trap|
//      +------------------+
//      |    return PC     |  overwritten by the child's next calls: kept in r12 across the trap
//      +------------------+

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below rsp at entry, the pushed rbp included. args is not used in
// this era. more: morestack, or morestack_noctxt where the function has no closure context. The check is made
// again after the stack has grown, because morestack comes back to the jump in the tail.
// Register ABI: g is in r14, r12 is scratch. Arguments in registers are not spilled here.

.macro check_small name, frame, args, more      // frames up to StackSmall: rsp itself is compared
.check:
    cmp rsp, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_medium name, frame, args, more     // frames up to StackBig: the frame's end, StackSmall forgiven
.check:
    lea r12, [rsp - (\frame - StackSmall)]      // the frame's end, StackSmall forgiven
    cmp r12, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_huge name, frame, args, more       // larger ones: the frame's end may wrap below address 0
.check:
    mov r12, rsp                                // sp, to be lowered
    sub r12, \frame - StackSmall                // the frame's end, StackSmall forgiven
    jb .more                                    // wrapped: no stack is that low
    cmp r12, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

// The same for code of the stack ABI, which cannot trust r14 and loads it first.

.macro check_small_abi0 name, frame, args, more
.check:
    mov r14, qword ptr fs:[TLS.g]               // g, which the stack ABI does not hand over
    cmp rsp, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_medium_abi0 name, frame, args, more
.check:
    mov r14, qword ptr fs:[TLS.g]               // g, which the stack ABI does not hand over
    lea r12, [rsp - (\frame - StackSmall)]      // the frame's end, StackSmall forgiven
    cmp r12, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_huge_abi0 name, frame, args, more
.check:
    mov r14, qword ptr fs:[TLS.g]               // g, which the stack ABI does not hand over
    mov r12, rsp                                // sp, to be lowered
    sub r12, \frame - StackSmall                // the frame's end, StackSmall forgiven
    jb .more                                    // wrapped, which is lower: grow
    cmp r12, qword ptr [r14 + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_tail more                          // both ABIs
.more:
    call \more                                  // its return PC is what g.sched.pc will hold
    jmp .check                                  // a larger stack: look again
.endm

// gogo(buf): leave this stack and continue what buf describes. Stack ABI; never returns.
// Sets g, rsp, rbp and rdx from buf, clears those words of buf but pc and g, jumps to buf.pc.
// Nothing of buf is cleared before the new rsp is in place, and a nil g faults before anything has changed.
gogo:
    mov rbx, qword ptr [rsp + 8]                // buf
    mov rdx, qword ptr [rbx + gobuf.g]          // the g to run
    mov rcx, qword ptr [rdx]                    // probe: a nil g faults here
    mov qword ptr fs:[TLS.g], rdx               // it is the thread's g from now on
    mov r14, rdx                                // and the register ABI's
    mov rsp, qword ptr [rbx + gobuf.sp]         // its stack
    mov rdx, qword ptr [rbx + gobuf.ctxt]       // its closure context
    mov rbp, qword ptr [rbx + gobuf.bp]         // its frame pointer
    mov qword ptr [rbx + gobuf.sp], 0           // buf is used up: leave no stale pointers in it
    mov qword ptr [rbx + gobuf.ctxt], 0         // so is this
    mov qword ptr [rbx + gobuf.bp], 0           // so is this
    mov rbx, qword ptr [rbx + gobuf.pc]         // where it stopped
    jmp rbx                                     // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g). Register ABI: fn in rax, g in r14.
// fn is a func value: rdx must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall.
mcall:
    push rbp                                    // frame of two words: return PC, caller's rbp
    mov rbp, rsp                                // a frame, for stack walkers
    mov rdx, rax                                // fn, as its closure context
    mov rbx, qword ptr [rsp + 8]                // return PC
    mov qword ptr [r14 + g.sched.pc], rbx       // is where g will continue
    lea rbx, [rsp + 16]                         // rsp as it will be after the return
    mov qword ptr [r14 + g.sched.sp], rbx       // where its stack will be
    mov rbx, qword ptr [rbp]                    // rbp as the caller had it
    mov qword ptr [r14 + g.sched.bp], rbx       // frame pointer
    mov rbx, qword ptr [r14 + g.m]              // m
    mov rsi, qword ptr [rbx + m.g0]             // where to go
    cmp rsi, r14                                // there already?
    je badmcall                                 // there already
    mov rax, r14                                // argument of fn: the g that leaves
    mov r14, rsi                                // g is g0 now, in the register
    mov qword ptr fs:[TLS.g], r14               // and in the thread
    mov rsp, qword ptr [r14 + g.sched.sp]       // top of g0's stack, the same every time
    mov ebp, 0                                  // no frames above
    push rax                                    // home of fn's argument
    mov r12, qword ptr [rdx]                    // code of fn
    call r12                                    // fn(g)
    pop rax                                     // fn returned: a mistake
    jmp badmcall2                               // fn returned: a mistake

// systemstack(fn): call fn() on g0's stack and come back. Stack ABI, but a caller's r14 must be g.
// On g0 or gsignal fn is jumped to; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a frame of systemstack_switch. r14 is g0 on return.
systemstack:
    push rbp                                    // frame of one word
    mov rbp, rsp                                // it is the running frame
    mov rdi, qword ptr [rsp + 16]               // fn
    mov rax, qword ptr fs:[TLS.g]               // g
    mov rbx, qword ptr [rax + g.m]              // m
    cmp rax, qword ptr [rbx + m.gsignal]        // the g of signal handlers?
    je .stay                                    // on the signal stack already
    mov rdx, qword ptr [rbx + m.g0]             // g0
    cmp rax, rdx                                // is it the running one?
    je .stay                                    // on g0 already
    cmp rax, qword ptr [rbx + m.curg]           // the goroutine that m runs?
    jne .refuse                                 // neither of the three
    mov r9, systemstack_switch + 8              // past that routine's own prologue
    mov qword ptr [r14 + g.sched.pc], r9        // as if g had called it
    mov qword ptr [r14 + g.sched.sp], rsp       // rbp has been pushed: same depth as there
    mov qword ptr [r14 + g.sched.bp], rbp       // frame pointer
    mov r9, qword ptr [r14 + g.sched.ctxt]      // a context?
    test r9, r9                                 // it must be nil
    je .go                                      // it is
    call abort                                  // a context left behind: g.sched is in use
.go:
    mov qword ptr fs:[TLS.g], rdx               // g is g0 now
    mov r14, rdx                                // also where the register ABI looks for it
    mov rsp, qword ptr [rdx + g.sched.sp]       // top of its stack
    mov rdx, rdi                                // closure context of fn
    mov rdi, qword ptr [rdi]                    // code of fn
    call rdi                                    // fn()
    mov rax, qword ptr fs:[TLS.g]               // g0, perhaps on another m
    mov rbx, qword ptr [rax + g.m]              // m
    mov rax, qword ptr [rbx + m.curg]           // the goroutine to go back to
    mov qword ptr fs:[TLS.g], rax               // g is that goroutine now
    mov rsp, qword ptr [rax + g.sched.sp]       // its stack, which may have been moved
    mov rbp, qword ptr [rax + g.sched.bp]       // its frame
    mov qword ptr [rax + g.sched.sp], 0         // g.sched is free again
    mov qword ptr [rax + g.sched.bp], 0         // this word too
    pop rbp                                     // frame pointer of our caller
    ret                                         // to our caller
.stay:
    mov rdx, rdi                                // closure context of fn
    mov rdi, qword ptr [rdi]                    // code of fn
    pop rbp                                     // as at entry: fn returns to our caller
    jmp rdi                                     // fn()
.refuse:
    call badsystemstack                         // never returns
    int3                                        // crash

// systemstack_switch: never called. Its ninth byte is the PC of a goroutine that waits in systemstack, so that
// a stack walk ends in a frame of known shape: rbp pushed, nothing else.
systemstack_switch:
    push rbp                                    // 1 byte
    mov rbp, rsp                                // 3 bytes
    nop dword ptr [rax]                         // 4 bytes
    ud2                                         // systemstack_switch + 8
    call abort                                  // crash, if it ever came to that
    pop rbp                                     // not reached
    ret                                         // not reached; a routine ends in a return

// morestack: the check at the entry of f found too little stack. Stack ABI; rdx = f's closure context.
// Describes f in g.sched and f's caller in m.morebuf, then calls newstack on g0's stack. Never returns: newstack
// resumes f behind its call, on a larger stack. g0 and gsignal cannot grow. r14 is left as it was.
morestack:
    mov rdi, qword ptr fs:[TLS.g]               // g
    mov rbx, qword ptr [rdi + g.m]              // m
    mov rax, qword ptr [rsp]                    // PC in f, behind its call
    mov qword ptr [rdi + g.sched.pc], rax       // where f goes on
    lea rax, [rsp + 8]                          // rsp as f has it: at f's return PC
    mov qword ptr [rdi + g.sched.sp], rax       // f's stack, where it has no frame yet
    mov qword ptr [rdi + g.sched.bp], rbp       // frame pointer of f's caller
    mov qword ptr [rdi + g.sched.ctxt], rdx     // f's closure context
    mov rsi, qword ptr [rbx + m.g0]             // the scheduler's g
    cmp rdi, rsi                                // is it the running one?
    jne .not_g0                                 // no
    call badmorestackg0                         // the scheduler's stack is full
    call abort                                  // crash
.not_g0:
    mov rsi, qword ptr [rbx + m.gsignal]        // the g of signal handlers
    cmp rdi, rsi                                // is it the running one?
    jne .not_gsignal                            // no
    call badmorestackgsignal                    // the signal stack is full
    call abort                                  // crash
.not_gsignal:
    mov rax, qword ptr [rsp + 8]                // f's return PC
    mov qword ptr [rbx + m.morebuf.pc], rax     // where f's caller goes on
    lea rax, [rsp + 16]                         // rsp of f's caller after f returns
    mov qword ptr [rbx + m.morebuf.sp], rax     // its stack
    mov qword ptr [rbx + m.morebuf.g], rdi      // who it is
    mov rbx, qword ptr [rbx + m.g0]             // g0: where to go
    mov qword ptr fs:[TLS.g], rbx               // g is g0 now
    mov rsp, qword ptr [rbx + g.sched.sp]       // top of its stack
    mov ebp, 0                                  // no frames above
    call newstack                               // make room for f; never returns
    call abort                                  // it must not come back

// morestack_noctxt: morestack for an f without a closure context: there must be none to keep alive.
morestack_noctxt:
    mov edx, 0                                  // no closure context
    jmp morestack                               // the rest is the same

// rawVforkSyscall(trap, a1, a2, a3) (r1, err): a system call that may return twice on one stack. Stack ABI.
// The child runs first and overwrites the word at the return PC with its calls. So each process keeps
// the return PC in r12, which the kernel keeps for both, and stores it again before it returns.
rawVforkSyscall:
    mov rdi, qword ptr [rsp + 16]               // a1
    mov rsi, qword ptr [rsp + 24]               // a2
    mov rdx, qword ptr [rsp + 32]               // a3
    mov r10d, 0                                 // no further arguments
    mov r8d, 0                                  // a5: none
    mov r9d, 0                                  // a6: none
    mov rax, qword ptr [rsp + 8]                // trap
    pop r12                                     // return PC, out of reach of the child
    syscall                                     // into the kernel
    push r12                                    // this process's own copy
    cmp rax, 0xfffffffffffff001                 // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    mov qword ptr [rsp + 40], -1                // r1
    neg rax                                     // the error's number
    mov qword ptr [rsp + 48], rax               // err
    ret                                         // to the caller
.good:
    mov qword ptr [rsp + 40], rax               // r1
    mov qword ptr [rsp + 48], 0                 // err
    ret                                         // to the caller

// rawSyscallNoError(trap, a1, a2, a3) (r1, r2): a system call that cannot fail. Stack ABI.
rawSyscallNoError:
    mov rdi, qword ptr [rsp + 16]               // a1
    mov rsi, qword ptr [rsp + 24]               // a2
    mov rdx, qword ptr [rsp + 32]               // a3
    mov rax, qword ptr [rsp + 8]                // trap
    syscall                                     // into the kernel
    mov qword ptr [rsp + 40], rax               // r1
    mov qword ptr [rsp + 48], rdx               // r2
    ret                                         // to the caller

// Syscall6(num, a1 ... a6) (r1, r2, errno): the system call under all others. Register ABI:
// num rax, a1 rbx, a2 rcx, a3 rdi, a4 rsi, a5 r8, a6 r9; results rax, rbx, rcx. Touches no stack.
Syscall6:
    mov r10, rsi                                // a4, before rsi is reused
    mov rdx, rdi                                // a3, before rdi is reused
    mov rsi, rcx                                // a2, before the kernel destroys rcx
    mov rdi, rbx                                // a1; num, a5 and a6 are in place
    syscall                                     // into the kernel
    cmp rax, 0xfffffffffffff001                 // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    neg rax                                     // the error's number
    mov rcx, rax                                // errno
    mov rax, -1                                 // r1
    mov ebx, 0                                  // r2
    ret                                         // to the caller
.good:
    mov rbx, rdx                                // r2; r1 is in place
    mov ecx, 0                                  // errno
    ret                                         // to the caller
