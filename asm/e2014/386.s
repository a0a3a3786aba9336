// Stack-switching routines of Go's runtime. Era: 2014 (Go 1.3: the top segment is copied when all its frames
// allow it, else a new segment is linked). Architecture: 386.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                m.tls + 8  +--------------+ <- gs:[0] holds its own
//   +-----------------------------+                                | self pointer |    address
//   | Stktop: guard, base of the  |                     m.tls + 4  +--------------+
//   | older segment; Gobuf of the |                                | m            |    [self + TLS.m]
//   | function that split;        |                     m.tls      +--------------+
//   | argsize, argp               |                                | g            |    [self + TLS.g]
//   +-----------------------------+ <- g.stackbase                 +--------------+
//   | copy of f's arguments       |
//   | lessstack as return PC      |                     g.sched, m.morebuf: a Gobuf = sp pc g ctxt ret lr
//   | f's frame, its callees'     |                     m.g0: the goroutine that owns the scheduler stack
//   |      |                      |                     g0.sched.sp: where every visit to that stack begins;
//   |      v              <- esp  |                     read by mcall, morestack, lessstack, written by none
//   +- - - - - - - - - - - - - - -+ <- g.stackguard0 = bottom + StackGuard (or StackPreempt, StackPoison)
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's ret
//
//   esp+8   second argument     esp+8   f's arguments   to m.morebuf.sp, m.moreargp
//   esp+4   first argument      esp+4   f's return PC   to m.morebuf.pc        esp  -> copy of f's arguments
//   esp  -> return PC           esp  -> PC in f         to g.sched.pc          esp-4   lessstack, used up
//
//   No register survives a call, except esp. edx: closure context at the entry of a function. eax: result.

// The stack check in front of a splittable function: name is its own label, frame the bytes below esp at entry
// without the return PC, args the bytes of its arguments (whole words), more is morestack or morestack_noctxt.
// hint goes to m.moreframesize: the frame rounded up to 8 where a segment of StackMin bytes could be too small
// for it, that is where 88 + args + 4 + frame + 4 + 128 >= StackMin; else 0.
// newstack puts the PC it resumes back to the function's start, found by decoding the jump after the call: the
// check is made again. Uses eax, ecx, edi (and esi when huge); edx must stay.

.macro call_more name, args, more, hint
    mov edi, \hint                              // size of the frame, for m.moreframesize
    mov eax, \args                              // size of the arguments, for m.moreargsize
    call \more                                  // notes the PC of the next line
    jmp \name                                   // newstack decodes it to find the start of f
.endm

// frame <= StackSmall: esp itself has to be above the guard.
.macro check_small name, frame, args, more, hint
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    cmp esp, dword ptr [ecx + g.stackguard0]    // enough left?
    ja .body                                    // unsigned: a special guard is above every esp
    call_more \name, \args, \more, \hint        // what the check was for
.body:
.endm

// StackSmall < frame <= StackBig: the lowest address of the frame, less the credit, has to be.
.macro check_medium name, frame, args, more, hint
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    lea eax, [esp + StackSmall - (\frame)]      // where the frame will end, StackSmall bytes forgiven
    cmp eax, dword ptr [ecx + g.stackguard0]    // enough left?
    ja .body                                    // yes: go on
    call_more \name, \args, \more, \hint        // what the check was for
.body:
.endm

// frame > StackBig: esp - frame could wrap, so the distance above the guard is compared. Of the special guards
// only StackPreempt is recognised; any other one makes the distance look large and the frame passes unchecked.
.macro check_huge name, frame, args, more, hint
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    mov esi, dword ptr [ecx + g.stackguard0]    // guard
    cmp esi, StackPreempt                       // asked to give way?
    je .more                                    // yes: grow
    lea eax, [esp + StackGuard]                 // StackGuard on both sides: esp may be a little below the guard
    sub eax, esi                                // bytes above the guard + StackGuard
    cmp eax, \frame + StackGuard - StackSmall   // enough left?
    ja .body                                    // yes: go on
.more:
    call_more \name, \args, \more, \hint        // what the check was for
.body:
.endm

// The call stands in front of the body: nothing follows it.
.macro check_tail more
.endm

// gosave(buf): notes in buf where its caller goes on, as if gosave had just returned.
// Entry: esp+4 = buf. Returns. Uses eax ebx ecx.
gosave:
    mov eax, dword ptr [esp + 4]                // buf
    lea ebx, [esp + 4]                          // caller's esp, the return PC popped
    mov dword ptr [eax + gobuf.sp], ebx         // where its stack will be
    mov ebx, dword ptr [esp]                    // return PC
    mov dword ptr [eax + gobuf.pc], ebx         // where it will continue
    mov dword ptr [eax + gobuf.ret], 0          // eax on resume
    mov dword ptr [eax + gobuf.ctxt], 0         // no closure
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.g]            // whose state it is
    mov dword ptr [eax + gobuf.g], ebx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf): goes on where buf says, on buf's goroutine, and clears what buf kept alive.
// Entry: esp+4 = buf. Never returns. A nil g faults before anything has changed.
gogo:
    mov ebx, dword ptr [esp + 4]                // buf
    mov edx, dword ptr [ebx + gobuf.g]          // g to run
    mov ecx, dword ptr [edx]                    // fault here if it is nil
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov dword ptr [ecx + TLS.g], edx            // the thread runs it now
    mov esp, dword ptr [ebx + gobuf.sp]         // onto its stack
    mov eax, dword ptr [ebx + gobuf.ret]        // result that the resumed call sees
    mov edx, dword ptr [ebx + gobuf.ctxt]       // closure context
    mov dword ptr [ebx + gobuf.sp], 0           // stale from here on: hide it from the collector
    mov dword ptr [ebx + gobuf.ret], 0          // so is this
    mov dword ptr [ebx + gobuf.ctxt], 0         // so is this
    mov ebx, dword ptr [ebx + gobuf.pc]         // where it stopped
    jmp ebx                                     // continue there

// mcall(fn): saves the goroutine's state in g.sched and calls the code address fn with g on g0's stack.
// Entry: esp+4 = fn. fn never returns; the caller goes on by a later gogo(&g.sched). g0.sched is only read.
mcall:
    mov edi, dword ptr [esp + 4]                // fn, while its stack is at hand
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [ecx + TLS.g]            // g, to save and to hand over
    mov ebx, dword ptr [esp]                    // return PC
    mov dword ptr [eax + g.sched.pc], ebx       // where g will continue
    lea ebx, [esp + 4]                          // caller's esp
    mov dword ptr [eax + g.sched.sp], ebx       // where its stack will be
    mov dword ptr [eax + g.sched.g], eax        // who will: g itself
    mov ebx, dword ptr [ecx + TLS.m]            // m
    mov esi, dword ptr [ebx + m.g0]             // g0
    cmp esi, eax                                // already there?
    je badmcall                                 // refused: a jump, nothing is pushed
    mov dword ptr [ecx + TLS.g], esi            // the thread runs g0
    mov esp, dword ptr [esi + g.sched.sp]       // onto its stack
    push eax                                    // argument: the g that was left
    call edi                                    // fn(g)
    pop eax                                     // fn has returned: drop its argument
    jmp badmcall2                               // and give up

// morestack: f's check found too little stack.
// Entry: esp -> PC in f, esp+4 = f's return PC, edi = frame hint, eax = argument bytes, edx = closure context.
// Notes f's caller in m.morebuf and f in g.sched, then calls newstack on g0's stack. Never returns.
morestack:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.m]            // m
    mov esi, dword ptr [ebx + m.g0]             // g0
    cmp dword ptr [ecx + TLS.g], esi            // the scheduler stack
    jne .split                                  // no: a stack that can grow
    int3                                        // can't grow
.split:
    mov dword ptr [ebx + m.moreframesize], edi  // what f asks for
    mov dword ptr [ebx + m.moreargsize], eax    // bytes of its arguments
    mov eax, dword ptr [esp + 4]                // PC in f's caller
    mov dword ptr [ebx + m.morebuf.pc], eax     // where f's caller goes on
    lea eax, [esp + 8]                          // esp of f's caller, which is where f's arguments begin
    mov dword ptr [ebx + m.morebuf.sp], eax     // its stack
    mov dword ptr [ebx + m.moreargp], eax       // f's arguments, to be copied to the new segment
    mov esi, dword ptr [ecx + TLS.g]            // g
    mov dword ptr [ebx + m.morebuf.g], esi      // who it is
    mov eax, dword ptr [esp]                    // PC in f
    mov dword ptr [esi + g.sched.pc], eax       // where f goes on
    mov dword ptr [esi + g.sched.g], esi        // g itself
    lea eax, [esp + 4]                          // esp at f's entry
    mov dword ptr [esi + g.sched.sp], eax       // f's stack, where it has no frame yet
    mov dword ptr [esi + g.sched.ctxt], edx     // f's closure context
    mov ebp, dword ptr [ebx + m.g0]             // g0: where to go
    mov dword ptr [ecx + TLS.g], ebp            // the thread runs g0
    mov eax, dword ptr [ebp + g.sched.sp]       // its stack
    mov ebx, dword ptr [eax - 4]                // fault where the call would, while esp is still good
    mov esp, eax                                // onto it
    call newstack                               // make room for f; never returns
    mov dword ptr [0x1003], 0                   // it returned: crash

// morestack_noctxt: as morestack, for an f without closure context.
// Entry: as morestack's, but edx is anything. Never returns.
morestack_noctxt:
    mov edx, 0                                  // let nothing stale be kept alive
    jmp morestack                               // the rest is the same

// lessstack: the return PC of a function that runs on a linked segment; nobody calls it.
// Entry: esp just above the used return slot, eax = result. Calls oldstack on g0's stack. Never returns.
lessstack:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.m]            // m
    mov dword ptr [ebx + m.cret], eax           // the only register that is carried over
    mov ebp, dword ptr [ebx + m.g0]             // g0: where to go
    mov dword ptr [ecx + TLS.g], ebp            // the thread runs g0
    mov esp, dword ptr [ebp + g.sched.sp]       // onto its stack
    call oldstack                               // free the segment, resume f's caller; never returns
    mov dword ptr [0x1004], 0                   // it returned: crash

// RawSyscall(trap, a1, a2, a3) (r1, r2, err): a system call that the scheduler does not hear of.
// Entry: esp+4 trap, esp+8..16 arguments; esp+20 r1, esp+24 r2, esp+28 err. Returns. Enters the kernel by a
// call through the word at _vdso, so a return PC lies below esp meanwhile.
RawSyscall:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    mov esi, 0                                  // no a4
    mov edi, 0                                  // no a5
    call dword ptr [_vdso]                      // into the kernel, the way that it offers
    cmp eax, 0xfffff001                         // above -4095 is an error, -4095 itself is not
    jbe .ok                                     // no error
    mov dword ptr [esp + 20], -1                // r1
    mov dword ptr [esp + 24], 0                 // r2
    neg eax                                     // the error's number
    mov dword ptr [esp + 28], eax               // err
    ret                                         // to the caller
.ok:
    mov dword ptr [esp + 20], eax               // r1
    mov dword ptr [esp + 24], edx               // r2: Linux leaves a3 there
    mov dword ptr [esp + 28], 0                 // err
    ret                                         // to the caller

// RawSyscall6(trap, a1, ..., a6) (r1, r2, err): the same with six arguments.
// Entry: esp+4 trap, esp+8..28 arguments; esp+32 r1, esp+36 r2, esp+40 err. Returns.
RawSyscall6:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    mov esi, dword ptr [esp + 20]               // a4
    mov edi, dword ptr [esp + 24]               // a5
    mov ebp, dword ptr [esp + 28]               // a6
    call dword ptr [_vdso]                      // into the kernel, the way that it offers
    cmp eax, 0xfffff001                         // above -4095 is an error, -4095 itself is not
    jbe .ok                                     // no error
    mov dword ptr [esp + 32], -1                // r1
    mov dword ptr [esp + 36], 0                 // r2
    neg eax                                     // the error's number
    mov dword ptr [esp + 40], eax               // err
    ret                                         // to the caller
.ok:
    mov dword ptr [esp + 32], eax               // r1
    mov dword ptr [esp + 36], edx               // r2: Linux leaves a3 there
    mov dword ptr [esp + 40], 0                 // err
    ret                                         // to the caller
