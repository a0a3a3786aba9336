// A context is a saved rsp; under it lie r15, r14, r13, r12, rbx, rbp and the PC to go on at.
        .globl  prepare, swap
prepare:                                        // prepare(context, top, body): swap to it calls body
        and     rsi, -16
        mov     qword ptr [rsi - 8], 0          // body returns to nowhere
        mov     [rsi - 16], rdx
        sub     rsi, 64
        mov     [rdi], rsi
        ret
swap:                                           // swap(from, to)
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [rdi], rsp
        mov     rsp, [rsi]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
