// Stack-switching routines of Go's runtime. Era: 2011 (before Go 1: linked segments, nothing is ever copied).
// Architecture: 386.
//
//   one segment of a goroutine's stack                  the thread
//
//   high                                                m.tls + 8  +--------------+ <- gs:[0] holds its own
//   +-----------------------------+                                | self pointer |    address
//   | Stktop: guard, base of the  |                     m.tls + 4  +--------------+
//   | older segment; Gobuf of the |                                | m            |    [self + TLS.m]
//   | function that split;        |                     m.tls      +--------------+
//   | argsize, argp, free         |                                | g            |    [self + TLS.g]
//   +-----------------------------+ <- g.stackbase                 +--------------+
//   | copy of f's arguments       |
//   | lessstack as return PC      |                     g.sched, m.morebuf: a Gobuf = sp pc g
//   | f's frame, its callees'     |                     m.g0: the goroutine that owns the scheduler stack
//   |      |                      |                     g0.sched.sp: where every visit to that stack begins;
//   |      v              <- esp  |                     read by mcall, morestack, lessstack, written by none
//   +- - - - - - - - - - - - - - -+ <- g.stackguard = bottom + StackGuard, never anything else
//   | StackSmall for frames that  |
//   | are not checked; NOSPLIT    |
//   +-----------------------------+ <- bottom
//   low
//
//   entry of a routine          entry of morestack, called by the check of f   entry of lessstack, by f's ret
//
//   esp+12  third argument
//   esp+8   second argument     esp+8   f's arguments   to m.morebuf.sp, m.moreargp
//   esp+4   first argument      esp+4   f's return PC   to m.morebuf.pc        esp  -> copy of f's arguments
//   esp  -> return PC           esp  -> PC in f         to m.morepc            esp-4   lessstack, used up
//
//   No register survives a call, except esp; there is no closure context. eax: result.

// The stack check in front of a splittable function: name is its own label, frame the bytes below esp at entry
// without the return PC, args the bytes of its arguments (whole words), more is morestack.
// hint goes to m.moreframesize: frame + 160 rounded down to 8 where a segment of StackMin bytes could be too
// small for it, that is where frame + 160 + args > 4096; else 0.
// newstack goes on right after the call, on another segment: the check is not made again. Uses eax, ecx, edx.

.macro call_more args, more, hint
    mov edx, \hint                              // size of the frame, for m.moreframesize
    mov eax, \args                              // size of the arguments, for m.moreargsize
    call \more                                  // comes back on a new segment, with lessstack as return PC
.endm

// frame <= StackSmall: esp itself has to be above the guard.
.macro check_small name, frame, args, more, hint
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    cmp esp, dword ptr [ecx + g.stackguard]     // enough left?
    ja .body                                    // yes: go on
    call_more \args, \more, \hint               // what the check was for
.body:
.endm

// StackSmall < frame < StackBig: the lowest address of the frame, less the credit, has to be.
.macro check_medium name, frame, args, more, hint
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ecx, dword ptr [ecx + TLS.g]            // g
    lea eax, [esp + StackSmall - (\frame)]      // where the frame will end, StackSmall bytes forgiven
    cmp eax, dword ptr [ecx + g.stackguard]     // enough left?
    ja .body                                    // yes: go on
    call_more \args, \more, \hint               // what the check was for
.body:
.endm

// frame >= StackBig: esp - frame could wrap; nothing is compared, a new segment is taken every time.
.macro check_huge name, frame, args, more, hint
    call_more \args, \more, \hint               // what the check was for
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
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.g]            // whose state it is
    mov dword ptr [eax + gobuf.g], ebx          // who will
    ret                                         // to the caller, for the first time

// gogo(buf, ret): goes on where buf says, on buf's goroutine, with ret as the result of the call it left in.
// Entry: esp+4 = buf, esp+8 = ret. Never returns; buf stays as it is. A nil g faults before anything has changed.
gogo:
    mov eax, dword ptr [esp + 8]                // result that the resumed call sees
    mov ebx, dword ptr [esp + 4]                // buf
    mov edx, dword ptr [ebx + gobuf.g]          // g to run
    mov ecx, dword ptr [edx]                    // fault here if it is nil
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov dword ptr [ecx + TLS.g], edx            // the thread runs it now
    mov esp, dword ptr [ebx + gobuf.sp]         // onto its stack
    mov ebx, dword ptr [ebx + gobuf.pc]         // where it stopped
    jmp ebx                                     // continue there

// gogocall(buf, fn): as gogo, but calls the code address fn first, as if from where buf says.
// Entry: esp+4 = buf, esp+8 = fn. Never returns. A nil g faults, with the thread's g already changed.
gogocall:
    mov eax, dword ptr [esp + 8]                // fn
    mov ebx, dword ptr [esp + 4]                // buf
    mov edx, dword ptr [ebx + gobuf.g]          // g to run
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov dword ptr [ecx + TLS.g], edx            // the thread runs it now
    mov ecx, dword ptr [edx]                    // fault here if it is nil
    mov esp, dword ptr [ebx + gobuf.sp]         // onto its stack
    mov ebx, dword ptr [ebx + gobuf.pc]         // where it stopped
    push ebx                                    // where fn returns to
    jmp eax                                     // fn

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
    jne .switch                                 // no: switch
    call badmcall                               // refused: never returns
.switch:
    mov dword ptr [ecx + TLS.g], esi            // the thread runs g0
    mov esp, dword ptr [esi + g.sched.sp]       // onto its stack
    push eax                                    // argument: the g that was left
    call edi                                    // fn(g)
    pop eax                                     // fn has returned: drop its argument
    call badmcall2                              // and give up
    ret                                         // never reached

// morestack: f's check found too little stack.
// Entry: esp -> PC in f, esp+4 = f's return PC, edx = frame hint, eax = argument bytes.
// Notes f's caller in m.morebuf and f in m.morepc, then calls newstack on g0's stack. Never returns. g.sched is
// left alone: it may be stale while the goroutine runs.
morestack:
    mov ecx, dword ptr gs:[0]                   // thread's words
    mov ebx, dword ptr [ecx + TLS.m]            // m
    mov esi, dword ptr [ebx + m.g0]             // g0
    cmp dword ptr [ecx + TLS.g], esi            // the scheduler stack
    jne .split                                  // no: a stack that can grow
    int3                                        // can't grow
.split:
    mov dword ptr [ebx + m.moreframesize], edx  // what f asks for
    mov dword ptr [ebx + m.moreargsize], eax    // bytes of its arguments
    mov eax, dword ptr [esp + 4]                // PC in f's caller
    mov dword ptr [ebx + m.morebuf.pc], eax     // where f's caller goes on
    lea eax, [esp + 8]                          // esp of f's caller, which is where f's arguments begin
    mov dword ptr [ebx + m.morebuf.sp], eax     // its stack
    mov dword ptr [ebx + m.moreargp], eax       // f's arguments, to be copied to the new segment
    mov esi, dword ptr [ecx + TLS.g]            // g
    mov dword ptr [ebx + m.morebuf.g], esi      // who it is
    mov eax, dword ptr [esp]                    // PC in f: it goes on there on the new segment
    mov dword ptr [ebx + m.morepc], eax         // where f goes on
    mov ebp, dword ptr [ebx + m.g0]             // g0: where to go
    mov dword ptr [ecx + TLS.g], ebp            // the thread runs g0
    mov eax, dword ptr [ebp + g.sched.sp]       // its stack
    mov ebx, dword ptr [eax - 4]                // fault where the call would, while esp is still good
    mov esp, eax                                // onto it
    call newstack                               // make room for f; never returns
    mov dword ptr [0x1003], 0                   // it returned: crash

inherit lessstack from 2014

// RawSyscall(trap, a1, a2, a3) (r1, r2, err): a system call that the scheduler does not hear of.
// Entry: esp+4 trap, esp+8..16 arguments; esp+20 r1, esp+24 r2, esp+28 err. Returns.
RawSyscall:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, dword ptr [esp + 12]               // a2
    mov edx, dword ptr [esp + 16]               // a3
    mov esi, 0                                  // no a4
    mov edi, 0                                  // no a5
    int 0x80                                    // into the kernel
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
    int 0x80                                    // into the kernel
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
