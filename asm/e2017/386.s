// Stack-switching routines of Go's runtime. Era: 2017 (Go 1.9, contiguous stacks). Architecture: 386.
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
//      |     caller       |  <- esp + 8                m.morebuf.sp, with .pc = f's return PC, .g = g
//      |  f's return PC   |  <- esp + 4                g.sched.sp,   with .pc = PC in f, .g = g
//      |     PC in f      |  <- esp at entry           f's closure context travels as newstack's argument
//      +------------------+

// Stack checks. Put `check_FORM name, frame, args, more` right after a function's label and `check_tail more`
// after its last instruction. frame: every byte below esp at entry. args is not used in this era. more: morestack,
// or morestack_noctxt where the function has no closure context. The check is made again after the stack has grown,
// because morestack comes back to the jump in the tail. Scratch: ecx, eax, esi.

// Small and medium frames, and the tail: as in the modern era.
inherit check_small from modern
inherit check_medium from modern
inherit check_tail from modern

// Larger ones: the room above the guard is compared with the frame, both sides raised by StackGuard because esp may
// lie a little below the guard. The subtraction goes wrong for a guard that is no address: of those only
// StackPreempt is looked for; StackFork passes unseen.
.macro check_huge name, frame, args, more
.check:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    mov esi, dword ptr [ecx + g.stackguard0]    // guard
    cmp esi, StackPreempt                       // asked to give way?
    je .more                                    // yes: grow
    lea eax, [esp + StackGuard]                 // StackGuard on both sides: sp may be a little below the guard
    sub eax, esi                                // bytes above the guard + StackGuard
    cmp eax, \frame + StackGuard - StackSmall   // lower or same: too little left
    jbe .more                                   // yes: grow
.body:
.endm

// gosave(buf): note the caller's place in buf, as if gosave returned when buf is resumed.
// buf.ctxt must be nil already: clearing it here would go behind the collector's back.
gosave:
    mov eax, dword ptr [esp + 4]                // buf
    lea ebx, [esp + 4]                          // esp as it will be after the return
    mov dword ptr [eax + gobuf.sp], ebx         // where its stack will be
    mov ebx, dword ptr [esp]                    // return PC
    mov dword ptr [eax + gobuf.pc], ebx         // where it will continue
    mov dword ptr [eax + gobuf.ret], 0          // no result
    mov ebx, dword ptr [eax + gobuf.ctxt]       // a context from an earlier use?
    test ebx, ebx                               // it must be nil
    je .clean                                   // it is
    call badctxt                                // never returns
.clean:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.g]            // g
    mov dword ptr [eax + gobuf.g], ebx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf): leave this stack and continue what buf describes. Never returns.
// Sets g, esp, eax and edx from buf, clears those words of buf but pc and g, jumps to buf.pc.
// A closure context in buf is a pointer about to be overwritten: the collector's write barrier sees it first.
gogo:
    mov ebx, dword ptr [esp + 4]                // buf
    mov eax, dword ptr [ebx + gobuf.ctxt]       // a closure context?
    test eax, eax                               // nothing is lost by clearing nil
    je .no_context                              // no barrier needed
    sub esp, 8                                  // frame for two arguments
    lea eax, [ebx + gobuf.ctxt]                 // the word
    mov dword ptr [esp], eax                    // first argument
    mov dword ptr [esp + 4], 0                  // what it will be
    call prewrite                               // tell the collector
    mov ebx, dword ptr [esp + 12]               // buf; esp needs no repair, it is replaced
.no_context:
    mov edx, dword ptr [ebx + gobuf.g]          // the g to run
    mov ecx, dword ptr [edx]                    // probe: a nil g faults here
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov dword ptr [ecx + TLS.g], edx            // it is the thread's g from now on
    mov esp, dword ptr [ebx + gobuf.sp]         // its stack
    mov eax, dword ptr [ebx + gobuf.ret]        // what the call it waits in returns
    mov edx, dword ptr [ebx + gobuf.ctxt]       // its closure context
    mov dword ptr [ebx + gobuf.sp], 0           // buf is used up: leave no stale pointers in it
    mov dword ptr [ebx + gobuf.ret], 0          // so is this
    mov dword ptr [ebx + gobuf.ctxt], 0         // so is this
    mov ebx, dword ptr [ebx + gobuf.pc]         // where it stopped
    jmp ebx                                     // continue there

// mcall(fn): write the caller's place into g.sched, go to g0's stack, call fn(g).
// fn is a func value: edx must point at it when its code starts. fn never returns; gogo(&g.sched) resumes the caller.
// On g0 itself there is nowhere to go: badmcall.
mcall:
    mov edi, dword ptr [esp + 4]                // fn
    mov edx, dword ptr gs:[0]                   // the thread's block, until fn is called
    mov eax, dword ptr [edx + TLS.g]            // g
    mov ebx, dword ptr [esp]                    // return PC
    mov dword ptr [eax + g.sched.pc], ebx       // is where g will continue
    lea ebx, [esp + 4]                          // esp as it will be after the return
    mov dword ptr [eax + g.sched.sp], ebx       // where its stack will be
    mov dword ptr [eax + g.sched.g], eax        // who will: g itself
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
// On g0 or gsignal fn is called in place; on m.curg the stack is switched; any other g is refused.
// While fn runs, g.sched describes a call of systemstack_switch, and g0's stack looks as if mstart had called us.
systemstack:
    mov edi, dword ptr [esp + 4]                // fn
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [ecx + TLS.g]            // g
    mov ebx, dword ptr [eax + g.m]              // m
    mov edx, dword ptr [ebx + m.gsignal]        // the g of signal handlers
    cmp eax, edx                                // is it the running one?
    je .stay                                    // on the signal stack already
    mov edx, dword ptr [ebx + m.g0]             // g0
    cmp eax, edx                                // is it the running one?
    je .stay                                    // on g0 already
    mov esi, dword ptr [ebx + m.curg]           // the goroutine that m runs
    cmp eax, esi                                // is it the running one?
    je .switch                                  // yes: switch
    call badsystemstack                         // neither of the three: never returns
.switch:
    mov esi, systemstack_switch                 // a routine that is never called
    mov dword ptr [eax + g.sched.pc], esi       // as if g had called it
    mov dword ptr [eax + g.sched.sp], esp       // at our return PC, as in that routine
    mov dword ptr [eax + g.sched.g], eax        // g itself
    mov dword ptr [ecx + TLS.g], edx            // g is g0 now
    mov ebx, dword ptr [edx + g.sched.sp]       // top of its stack
    sub ebx, 4                                  // room for a word
    mov edx, mstart                             // a return PC at which every stack walk ends
    mov dword ptr [ebx], edx                    // as if mstart had called fn
    mov esp, ebx                                // onto g0's stack
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
    call edi                                    // fn()
    ret                                         // to our caller

// As in the modern era.
inherit systemstack_switch from modern

// morestack: the check at the entry of f found too little stack. edx = f's closure context.
// Describes f's caller in m.morebuf and f in g.sched, then calls newstack(edx) on g0's stack. Never returns:
// newstack resumes f behind its call, on a larger stack. g0 and gsignal cannot grow. g.sched.ctxt is left to newstack.
morestack:
    mov ecx, dword ptr gs:[0]                   // the thread's block
    mov eax, dword ptr [ecx + TLS.g]            // g
    mov ebx, dword ptr [eax + g.m]              // m
    mov esi, dword ptr [ebx + m.g0]             // the scheduler's g
    cmp eax, esi                                // is it the running one?
    jne .not_g0                                 // no
    call badmorestackg0                         // the scheduler's stack is full
    int3                                        // crash
.not_g0:
    mov esi, dword ptr [ebx + m.gsignal]        // the g of signal handlers
    cmp eax, esi                                // is it the running one?
    jne .not_gsignal                            // no
    call badmorestackgsignal                    // the signal stack is full
    int3                                        // crash
.not_gsignal:
    mov esi, eax                                // g
    mov edi, dword ptr [esp + 4]                // f's return PC
    mov dword ptr [ebx + m.morebuf.pc], edi     // where f's caller goes on
    lea edi, [esp + 8]                          // esp of f's caller after f returns
    mov dword ptr [ebx + m.morebuf.sp], edi     // its stack
    mov dword ptr [ebx + m.morebuf.g], esi      // who it is
    mov eax, dword ptr [esp]                    // PC in f, behind its call
    mov dword ptr [esi + g.sched.pc], eax       // where f goes on
    mov dword ptr [esi + g.sched.g], esi        // g itself
    lea eax, [esp + 4]                          // esp as f has it: at f's return PC
    mov dword ptr [esi + g.sched.sp], eax       // f's stack, where it has no frame yet
    mov ebp, dword ptr [ebx + m.g0]             // g0: where to go
    mov dword ptr [ecx + TLS.g], ebp            // g is g0 now
    mov eax, dword ptr [ebp + g.sched.sp]       // top of its stack
    mov ebx, dword ptr [eax - 4]                // probe: fault while esp is still good
    mov esp, eax                                // onto it
    push edx                                    // argument of newstack: f's closure context
    call newstack                               // make room for f; never returns
    mov eax, 0x1003                             // it must not come back: fault at an address that tells
    mov dword ptr [eax], 0                      // crash

// As in the modern era.
inherit morestack_noctxt from modern

// System calls with three and with six arguments: as in 2011.
inherit RawSyscall from 2011
inherit RawSyscall6 from 2011
