// Stack-switching routines of Go's runtime. Era: 2017 (Go 1.9, contiguous stacks). Architecture: amd64.
//
// Where g lives: in the thread-local word fs:[TLS.g]. m is g.m. Closure context: rdx. Frame pointer: rbp, saved with
// a goroutine. No other register but rsp survives a call. All arguments and results are on the stack.
//
//      a call                                          a frame of F bytes
//
//      |       ...        |                            |   argument 1     |  entry rsp + 8
//      |   argument 2     |  rsp + 16                  +------------------+
//      |   argument 1     |  rsp + 8                   |    return PC     |  entry rsp
//      +------------------+                            |   caller's rbp   |  <- rbp, if there is a frame at all
//      |    return PC     |  rsp at entry              |     locals       |
//      +------------------+                            +------------------+  <- rsp = entry rsp - F
//
//      mcall: one goroutine leaves, g0 runs fn         systemstack: g waits, g0 runs fn
//
//          stack of g           stack of g0                stack of g           stack of g0
//      |      fn      |     | mstart's frames |        |      fn      |     | mstart's frames |
//      +--------------+ sp  +-----------------+ sp     +--------------+     +-----------------+ sp
//      |  return PC   | pc  |    the old g    |        |  return PC   | sp  |  mstart, faked  |
//      +--------------+     |   PC in mcall   |        +--------------+     |PC in systemstack|
//                           +-----------------+  pc = systemstack_switch    +-----------------+
//
//      sp, pc: what g.sched holds while g waits; g0.sched.sp on the right is read, never written
//
//      morestack: called by the check at the entry of f
//
//          stack of g                                      what is written down
//      |  frame of f's    |
//      |     caller       |  <- rsp + 16               m.morebuf.sp, with .pc = f's return PC, .g = g
//      |  f's return PC   |  <- rsp + 8                g.sched.sp,   with .pc = PC in f, .g = g, .bp = rbp
//      |     PC in f      |  <- rsp at entry           f's closure context travels as newstack's argument
//      +------------------+
//
//      rawVforkSyscall: parent and child share this stack while the child runs
//
//      |     a1, trap     |
//      +------------------+
//      |    return PC     |  overwritten by the child's next calls: kept in r12 across the trap
//      +------------------+

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below rsp at entry, the pushed rbp included. args is not used in
// this era. more: morestack, or morestack_noctxt where the function has no closure context. The check is made
// again after the stack has grown, because morestack comes back to the jump in the tail. Scratch: rcx, rax, rsi.

.macro check_small name, frame, args, more      // frames up to StackSmall: rsp itself is compared
.check:
    mov rcx, qword ptr fs:[TLS.g]               // g
    cmp rsp, qword ptr [rcx + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

.macro check_medium name, frame, args, more     // frames up to StackBig: the frame's end, StackSmall forgiven
.check:
    mov rcx, qword ptr fs:[TLS.g]               // g
    lea rax, [rsp - (\frame - StackSmall)]      // the frame's end, StackSmall forgiven
    cmp rax, qword ptr [rcx + g.stackguard0]    // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

// The tail: as in the modern era.
inherit check_tail from modern

// Larger ones: the room above the guard is compared with the frame, both sides raised by StackGuard because rsp may
// lie a little below the guard. The subtraction goes wrong for a guard that is no address: of those only
// StackPreempt is looked for; StackFork passes unseen.
.macro check_huge name, frame, args, more
.check:
    mov rcx, qword ptr fs:[TLS.g]               // g
    mov rsi, qword ptr [rcx + g.stackguard0]    // guard
    cmp rsi, StackPreempt                       // asked to give way?
    je .more                                    // yes: grow
    lea rax, [rsp + StackGuard]                 // StackGuard on both sides: sp may be a little below the guard
    sub rax, rsi                                // bytes above the guard + StackGuard
    cmp rax, \frame + StackGuard - StackSmall   // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

// gosave(buf): note the caller's place in buf, as if gosave returned when buf is resumed.
// buf.ctxt must be nil already: clearing it here would go behind the collector's back.
gosave:
    mov rax, qword ptr [rsp + 8]                // buf
    lea rbx, [rsp + 8]                          // rsp as it will be after the return
    mov qword ptr [rax + gobuf.sp], rbx         // where its stack will be
    mov rbx, qword ptr [rsp]                    // return PC
    mov qword ptr [rax + gobuf.pc], rbx         // where it will continue
    mov qword ptr [rax + gobuf.ret], 0          // no result
    mov qword ptr [rax + gobuf.bp], rbp         // frame pointer
    mov rbx, qword ptr [rax + gobuf.ctxt]       // a context from an earlier use?
    test rbx, rbx                               // it must be nil
    je .clean                                   // it is
    call badctxt                                // never returns
.clean:
    mov rbx, qword ptr fs:[TLS.g]               // g
    mov qword ptr [rax + gobuf.g], rbx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf): leave this stack and continue what buf describes. Never returns.
// Sets g, rsp, rbp, rax and rdx from buf, clears those words of buf but pc and g, jumps to buf.pc.
// A closure context in buf is a pointer about to be overwritten: the collector's write barrier sees it first.
gogo:
    mov rbx, qword ptr [rsp + 8]                // buf
    mov rax, qword ptr [rbx + gobuf.ctxt]       // a closure context?
    test rax, rax                               // nothing is lost by clearing nil
    je .no_context                              // no barrier needed
    sub rsp, 16                                 // frame for two arguments
    lea rax, [rbx + gobuf.ctxt]                 // the word
    mov qword ptr [rsp], rax                    // first argument
    mov qword ptr [rsp + 8], 0                  // what it will be
    call prewrite                               // tell the collector
    mov rbx, qword ptr [rsp + 24]               // buf; rsp needs no repair, it is replaced
.no_context:
    mov rdx, qword ptr [rbx + gobuf.g]          // the g to run
    mov rcx, qword ptr [rdx]                    // probe: a nil g faults here
    mov qword ptr fs:[TLS.g], rdx               // it is the thread's g from now on
    mov rsp, qword ptr [rbx + gobuf.sp]         // its stack
    mov rax, qword ptr [rbx + gobuf.ret]        // what the call it waits in returns
    mov rdx, qword ptr [rbx + gobuf.ctxt]       // its closure context
    mov rbp, qword ptr [rbx + gobuf.bp]         // its frame pointer
    mov qword ptr [rbx + gobuf.sp], 0           // buf is used up: leave no stale pointers in it
    mov qword ptr [rbx + gobuf.ret], 0          // so is this
    mov qword ptr [rbx + gobuf.ctxt], 0         // so is this
    mov qword ptr [rbx + gobuf.bp], 0           // so is this
    mov rbx, qword ptr [rbx + gobuf.pc]         // where it stopped
    jmp rbx                                     // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g).
// fn is a func value: rdx must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall.
mcall:
    mov rdi, qword ptr [rsp + 8]                // fn
    mov rax, qword ptr fs:[TLS.g]               // g
    mov rbx, qword ptr [rsp]                    // return PC
    mov qword ptr [rax + g.sched.pc], rbx       // is where g will continue
    lea rbx, [rsp + 8]                          // rsp as it will be after the return
    mov qword ptr [rax + g.sched.sp], rbx       // where its stack will be
    mov qword ptr [rax + g.sched.g], rax        // who will: g itself
    mov qword ptr [rax + g.sched.bp], rbp       // frame pointer
    mov rbx, qword ptr [rax + g.m]              // m
    mov rsi, qword ptr [rbx + m.g0]             // where to go
    cmp rsi, rax                                // there already?
    je badmcall                                 // there already
    mov qword ptr fs:[TLS.g], rsi               // g is g0 now
    mov rsp, qword ptr [rsi + g.sched.sp]       // top of its stack, the same every time
    push rax                                    // argument of fn: the g that leaves
    mov rdx, rdi                                // closure context of fn
    mov rdi, qword ptr [rdi]                    // code of fn
    call rdi                                    // fn(g)
    pop rax                                     // fn returned: a mistake
    jmp badmcall2                               // fn returned: a mistake

// systemstack(fn): call fn() on g0's stack and come back.
// On g0 or gsignal fn is called in place; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a call of systemstack_switch, and g0's stack looks as if mstart had called us.
systemstack:
    mov rdi, qword ptr [rsp + 8]                // fn
    mov rax, qword ptr fs:[TLS.g]               // g
    mov rbx, qword ptr [rax + g.m]              // m
    mov rdx, qword ptr [rbx + m.gsignal]        // the g of signal handlers
    cmp rax, rdx                                // is it the running one?
    je .stay                                    // on the signal stack already
    mov rdx, qword ptr [rbx + m.g0]             // g0
    cmp rax, rdx                                // is it the running one?
    je .stay                                    // on g0 already
    mov r8, qword ptr [rbx + m.curg]            // the goroutine that m runs
    cmp rax, r8                                 // is it the running one?
    je .switch                                  // yes: switch
    call badsystemstack                         // neither of the three: never returns
.switch:
    mov rsi, systemstack_switch                 // a routine that is never called
    mov qword ptr [rax + g.sched.pc], rsi       // as if g had called it
    mov qword ptr [rax + g.sched.sp], rsp       // at our return PC, as in that routine
    mov qword ptr [rax + g.sched.g], rax        // g itself
    mov qword ptr [rax + g.sched.bp], rbp       // frame pointer
    mov qword ptr fs:[TLS.g], rdx               // g is g0 now
    mov rbx, qword ptr [rdx + g.sched.sp]       // top of its stack
    sub rbx, 8                                  // room for a word
    mov rdx, mstart                             // a return PC at which every stack walk ends
    mov qword ptr [rbx], rdx                    // as if mstart had called fn
    mov rsp, rbx                                // onto g0's stack
    mov rdx, rdi                                // closure context of fn
    mov rdi, qword ptr [rdi]                    // code of fn
    call rdi                                    // fn()
    mov rax, qword ptr fs:[TLS.g]               // g0, perhaps on another m
    mov rbx, qword ptr [rax + g.m]              // m
    mov rax, qword ptr [rbx + m.curg]           // the goroutine to go back to
    mov qword ptr fs:[TLS.g], rax               // g is that goroutine now
    mov rsp, qword ptr [rax + g.sched.sp]       // its stack, which may have been moved
    mov qword ptr [rax + g.sched.sp], 0         // g.sched is free again
    ret                                         // to our caller
.stay:
    mov rdx, rdi                                // closure context of fn
    mov rdi, qword ptr [rdi]                    // code of fn
    call rdi                                    // fn()
    ret                                         // to our caller

// systemstack_switch: never called. Its address is the PC of a goroutine that waits in systemstack, so that
// a stack walk ends in a frame of known shape: the return PC, nothing else.
systemstack_switch:
    ret                                         // not reached; a routine ends in a return

// morestack: the check at the entry of f found too little stack. rdx = f's closure context.
// Describes f's caller in m.morebuf and f in g.sched, then calls newstack(rdx) on g0's stack. Never returns:
// newstack resumes f behind its call, on a larger stack. g0 and gsignal cannot grow. g.sched.ctxt is left to newstack.
morestack:
    mov rax, qword ptr fs:[TLS.g]               // g
    mov rbx, qword ptr [rax + g.m]              // m
    mov rsi, qword ptr [rbx + m.g0]             // the scheduler's g
    cmp rax, rsi                                // is it the running one?
    jne .not_g0                                 // no
    call badmorestackg0                         // the scheduler's stack is full
    int3                                        // crash
.not_g0:
    mov rsi, qword ptr [rbx + m.gsignal]        // the g of signal handlers
    cmp rax, rsi                                // is it the running one?
    jne .not_gsignal                            // no
    call badmorestackgsignal                    // the signal stack is full
    int3                                        // crash
.not_gsignal:
    mov rsi, rax                                // g
    mov rax, qword ptr [rsp + 8]                // f's return PC
    mov qword ptr [rbx + m.morebuf.pc], rax     // where f's caller goes on
    lea rax, [rsp + 16]                         // rsp of f's caller after f returns
    mov qword ptr [rbx + m.morebuf.sp], rax     // its stack
    mov qword ptr [rbx + m.morebuf.g], rsi      // who it is
    mov rax, qword ptr [rsp]                    // PC in f, behind its call
    mov qword ptr [rsi + g.sched.pc], rax       // where f goes on
    mov qword ptr [rsi + g.sched.g], rsi        // g itself
    lea rax, [rsp + 8]                          // rsp as f has it: at f's return PC
    mov qword ptr [rsi + g.sched.sp], rax       // f's stack, where it has no frame yet
    mov qword ptr [rsi + g.sched.bp], rbp       // frame pointer of f's caller
    mov rbx, qword ptr [rbx + m.g0]             // g0: where to go
    mov qword ptr fs:[TLS.g], rbx               // g is g0 now
    mov rsp, qword ptr [rbx + g.sched.sp]       // top of its stack
    push rdx                                    // argument of newstack: f's closure context
    call newstack                               // make room for f; never returns
    mov eax, 0x1003                             // it must not come back: fault at an address that tells
    mov qword ptr [rax], 0                      // crash

// As in the modern era.
inherit morestack_noctxt from modern

// System calls with three and with six arguments: as in 2014.
inherit RawSyscall from 2014
inherit RawSyscall6 from 2014

// rawVforkSyscall(trap, a1) (r1, err): a system call that may return twice on one stack.
// The child runs first and overwrites the word at the return PC with its calls. So each process keeps
// the return PC in r12, which the kernel keeps for both, and stores it again before it returns.
rawVforkSyscall:
    mov rdi, qword ptr [rsp + 16]               // a1
    mov esi, 0                                  // no further arguments
    mov edx, 0                                  // a3: none
    mov r10d, 0                                 // a4: none
    mov r8d, 0                                  // a5: none
    mov r9d, 0                                  // a6: none
    mov rax, qword ptr [rsp + 8]                // trap
    pop r12                                     // return PC, out of reach of the child
    syscall                                     // into the kernel
    push r12                                    // this process's own copy
    cmp rax, 0xfffffffffffff001                 // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    mov qword ptr [rsp + 24], -1                // r1
    neg rax                                     // the error's number
    mov qword ptr [rsp + 32], rax               // err
    ret                                         // to the caller
.good:
    mov qword ptr [rsp + 24], rax               // r1
    mov qword ptr [rsp + 32], 0                 // err
    ret                                         // to the caller
