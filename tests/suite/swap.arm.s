// A context is a saved sp; under it lie r4 to r11 and the PC to go on at.
        .globl  prepare, swap
prepare:                                        // prepare(context, top, body): swap to it calls body
        bic     r1, r1, #7
        str     r2, [r1, #-4]
        sub     r1, r1, #36
        str     r1, [r0]
        bx      lr
swap:                                           // swap(from, to)
        push    {r4-r11, lr}
        str     sp, [r0]
        ldr     sp, [r1]
        pop     {r4-r11, pc}
