// Stack-switching routines of Go's runtime. Era: modern (Go 1.27, contiguous stacks). Architecture: 386.
//
// Where g lives: the word at gs:[0] holds the address of the thread's block (and so its own address); g is TLS.g
// bytes from there, that is in the word just below it. m is g.m. Closure context: edx. No register survives a
// call but esp. All arguments and results are on the stack.
//
//      a call                                          TLS
//
//      |       ...        |                            |      ...         |
//      |   argument 2     |  esp + 8                   | address of itself|  gs:[0]
//      |   argument 1     |  esp + 4                   +------------------+
//      +------------------+                            |        g         |  [gs:[0] + TLS.g]
//      |    return PC     |  esp at entry              +------------------+
//      +------------------+
//
//      mcall: one goroutine leaves, g0 runs fn
//
//          stack of g                                      stack of g0
//      |       ...        |                            |  mstart's frames |
//      |       fn         |  <- saved g.sched.sp       +------------------+  <- g0.sched.sp: read, never written
//      |    return PC     |  -> saved g.sched.pc       |   the old g      |  argument of fn
//      +------------------+                            |  PC in mcall     |  <- esp in fn
//                                                      +------------------+
//
//      morestack: called by the check at the entry of f
//
//          stack of g                                      what is written down
//      |  frame of f's    |
//      |     caller       |  <- esp + 8                m.morebuf.sp, with .pc = f's return PC, .g = g
//      |  f's return PC   |  <- esp + 4                g.sched.sp,   with .pc = PC in f, .ctxt = edx
//      |     PC in f      |  <- esp at entry
//      +------------------+
//
//      rawVforkSyscall: parent and child share this stack while the child runs
//
//      |  a3, a2, a1, trap|
//      +------------------+
//      |    return PC     |  overwritten by the child's next calls: kept in esi across the trap
//      +------------------+

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below esp at entry. args is not used in this era. more: morestack,
// or morestack_noctxt where the function has no closure context. The check is made again after the stack has grown,
// because morestack comes back to the jump in the tail. ecx and eax are scratch.

.macro check_small name, frame, args, more      // frames up to StackSmall: esp itself is compared
.check:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    cmp esp, dword ptr [ecx + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_medium name, frame, args, more     // frames up to StackBig: the frame's end, StackSmall forgiven
.check:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    lea eax, [esp - (\frame - StackSmall)]      // the frame's end, StackSmall forgiven
    cmp eax, dword ptr [ecx + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_huge name, frame, args, more       // larger ones: the frame's end may wrap below address 0
.check:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    mov eax, esp                                // sp, to be lowered
    sub eax, \frame - StackSmall                // the frame's end, StackSmall forgiven
    jb .more                                    // wrapped: no stack is that low
    cmp eax, dword ptr [ecx + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_tail more
.more:
    call \more                                  // its return PC is what g.sched.pc will hold
    jmp .check                                  // a larger stack: look again
.endm

// gogo(buf): leave this stack and continue what buf describes. Never returns.
// Sets g, esp and edx from buf, clears those words of buf but pc and g, jumps to buf.pc.
// Nothing of buf is cleared before the new esp is in place, and a nil g faults before anything has changed.
gogo:
    mov ebx, dword ptr [esp + 4]                // buf
    mov edx, dword ptr [ebx + gobuf.g]          // the g to run
    mov ecx, dword ptr [edx]                    // probe: a nil g faults here
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov dword ptr [ecx + TLS.g], edx            // it is the thread's g from now on
    mov esp, dword ptr [ebx + gobuf.sp]         // its stack
    mov edx, dword ptr [ebx + gobuf.ctxt]       // its closure context
    mov dword ptr [ebx + gobuf.sp], 0           // buf is used up: leave no stale pointers in it
    mov dword ptr [ebx + gobuf.ctxt], 0         // so is this
    mov ebx, dword ptr [ebx + gobuf.pc]         // where it stopped
    jmp ebx                                     // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g).
// fn is a func value: edx must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall. g.sched.g is left alone.
mcall:
    mov edi, dword ptr [esp + 4]                // fn
    mov edx, dword ptr gs:[0]                   // the thread's block, until fn is called
    mov eax, dword ptr [edx + TLS.g]            // g
    mov ebx, dword ptr [esp]                    // return PC
    mov dword ptr [eax + g.sched.pc], ebx       // is where g will continue
    lea ebx, [esp + 4]                          // esp as it will be after the return
    mov dword ptr [eax + g.sched.sp], ebx       // where its stack will be
    mov ebx, dword ptr [eax + g.m]              // m
    mov esi, dword ptr [ebx + m.g0]             // where to go
    cmp esi, eax                                // there already?
    je badmcall                                 // there already
    mov dword ptr [edx + TLS.g], esi            // g is g0 now
    mov esp, dword ptr [esi + g.sched.sp]       // top of its stack, the same every time
    push eax                                    // argument of fn: the g that leaves
    mov edx, edi                                // closure context of fn
    mov edi, dword ptr [edi]                    // code of fn
    call edi                                    // fn(g)
    pop eax                                     // fn returned: a mistake
    jmp badmcall2                               // fn returned: a mistake

// systemstack(fn): call fn() on g0's stack and come back.
// On g0 or gsignal fn is jumped to; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a frame of systemstack_switch.
systemstack:
    mov edi, dword ptr [esp + 4]                // fn
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [ecx + TLS.g]            // g
    mov ebx, dword ptr [eax + g.m]              // m
    cmp eax, dword ptr [ebx + m.gsignal]        // the g of signal handlers?
    je .stay                                    // on the signal stack already
    mov edx, dword ptr [ebx + m.g0]             // g0
    cmp eax, edx                                // is it the running one?
    je .stay                                    // on g0 already
    cmp eax, dword ptr [ebx + m.curg]           // the goroutine that m runs?
    jne .refuse                                 // neither of the three
    mov dword ptr [eax + g.sched.sp], esp       // at our return PC, as in systemstack_switch
    mov esi, systemstack_switch                 // a routine that is never called
    mov dword ptr [eax + g.sched.pc], esi       // as if g had called it
    mov esi, dword ptr [eax + g.sched.ctxt]     // a context?
    test esi, esi                               // it must be nil
    je .go                                      // it is
    call abort                                  // a context left behind: g.sched is in use
.go:
    mov dword ptr [ecx + TLS.g], edx            // g is g0 now
    mov esp, dword ptr [edx + g.sched.sp]       // top of its stack
    mov edx, edi                                // closure context of fn
    mov edi, dword ptr [edi]                    // code of fn
    call edi                                    // fn()
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [ecx + TLS.g]            // g0, perhaps on another m
    mov ebx, dword ptr [eax + g.m]              // m
    mov eax, dword ptr [ebx + m.curg]           // the goroutine to go back to
    mov dword ptr [ecx + TLS.g], eax            // g is that goroutine now
    mov esp, dword ptr [eax + g.sched.sp]       // its stack, which may have been moved
    mov dword ptr [eax + g.sched.sp], 0         // g.sched is free again
    ret                                         // to our caller
.stay:
    mov edx, edi                                // closure context of fn
    mov edi, dword ptr [edi]                    // code of fn
    jmp edi                                     // it returns to our caller
.refuse:
    call badsystemstack                         // never returns
    int3                                        // crash

// systemstack_switch: never called. Its address is the PC of a goroutine that waits in systemstack, so that
// a stack walk ends in a frame of known shape: the return PC, nothing else.
systemstack_switch:
    ret                                         // not reached; a routine ends in a return

// morestack: the check at the entry of f found too little stack. edx = f's closure context.
// Describes f in g.sched and f's caller in m.morebuf, then calls newstack on g0's stack. Never returns: newstack
// resumes f behind its call, on a larger stack. g0 and gsignal cannot grow.
morestack:
    mov ecx, dword ptr gs:[0]                   // the thread's block
    mov edi, dword ptr [ecx + TLS.g]            // g
    mov ebx, dword ptr [edi + g.m]              // m
    mov eax, dword ptr [esp]                    // PC in f, behind its call
    mov dword ptr [edi + g.sched.pc], eax       // where f goes on
    lea eax, [esp + 4]                          // esp as f has it: at f's return PC
    mov dword ptr [edi + g.sched.sp], eax       // f's stack, where it has no frame yet
    mov dword ptr [edi + g.sched.ctxt], edx     // f's closure context
    mov esi, dword ptr [ebx + m.g0]             // the scheduler's g
    cmp edi, esi                                // is it the running one?
    jne .not_g0                                 // no
    call badmorestackg0                         // the scheduler's stack is full
    call abort                                  // crash
.not_g0:
    mov esi, dword ptr [ebx + m.gsignal]        // the g of signal handlers
    cmp edi, esi                                // is it the running one?
    jne .not_gsignal                            // no
    call badmorestackgsignal                    // the signal stack is full
    call abort                                  // crash
.not_gsignal:
    mov eax, dword ptr [esp + 4]                // f's return PC
    mov dword ptr [ebx + m.morebuf.pc], eax     // where f's caller goes on
    lea eax, [esp + 8]                          // esp of f's caller after f returns
    mov dword ptr [ebx + m.morebuf.sp], eax     // its stack
    mov dword ptr [ebx + m.morebuf.g], edi      // who it is
    mov ebp, dword ptr [ebx + m.g0]             // g0: where to go
    mov dword ptr [ecx + TLS.g], ebp            // g is g0 now
    mov eax, dword ptr [ebp + g.sched.sp]       // top of its stack
    mov ebx, dword ptr [eax - 4]                // probe: fault while esp is still good
    mov esp, eax                                // onto it
    call newstack                               // make room for f; never returns
    call abort                                  // it must not come back

// morestack_noctxt: morestack for an f without a closure context: there must be none to keep alive.
morestack_noctxt:
    mov edx, 0                                  // no closure context
    jmp morestack                               // the rest is the same

// rawVforkSyscall(trap, a1, a2, a3) (r1, err): a system call that may return twice on one stack.
// The child runs first and overwrites the word at the return PC with its calls. So each process keeps
// the return PC in esi, which the kernel keeps for both, and stores it again before it returns.
rawVforkSyscall:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    pop esi                                     // return PC, out of reach of the child
    int 0x80                                    // into the kernel
    push esi                                    // this process's own copy
    cmp eax, 0xfffff001                         // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    mov dword ptr [esp + 20], -1                // r1
    neg eax                                     // the error's number
    mov dword ptr [esp + 24], eax               // err
    ret                                         // to the caller
.good:
    mov dword ptr [esp + 20], eax               // r1
    mov dword ptr [esp + 24], 0                 // err
    ret                                         // to the caller

// rawSyscallNoError(trap, a1, a2, a3) (r1, r2): a system call that cannot fail.
rawSyscallNoError:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    mov esi, 0                                  // no further arguments
    mov edi, 0                                  // a5: none
    int 0x80                                    // into the kernel
    mov dword ptr [esp + 20], eax               // r1
    mov dword ptr [esp + 24], edx               // r2
    ret                                         // to the caller

// Syscall6(num, a1 ... a6) (r1, r2, errno): the system call under all others.
Syscall6:
    mov eax, dword ptr [esp + 4]                // num
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    mov esi, dword ptr [esp + 20]               // a4
    mov edi, dword ptr [esp + 24]               // a5
    mov ebp, dword ptr [esp + 28]               // a6
    int 0x80                                    // into the kernel
    cmp eax, 0xfffff001                         // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    mov dword ptr [esp + 32], -1                // r1
    mov dword ptr [esp + 36], 0                 // r2
    neg eax                                     // the error's number
    mov dword ptr [esp + 40], eax               // errno
    ret                                         // to the caller
.good:
    mov dword ptr [esp + 32], eax               // r1
    mov dword ptr [esp + 36], edx               // r2
    mov dword ptr [esp + 40], 0                 // errno
    ret                                         // to the caller
