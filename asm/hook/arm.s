// Hooks in front of stack checks, and the calls that prologues make of them. Era: modern. Architecture: arm.
//
// A prologue calls its hook before it looks at the stack: the guard that the hook leaves is the one that is compared.
// All arguments are on the stack; g is in r10. Of the other registers f still needs two: lr, its own return PC, which
// the call replaces, and r7, the closure context. r0, r1, r2 and r11 are scratch.
//
//      the call of a hook, at the entry of f
//
//      |  f's arguments   |
//      |caller's saved lr |  <- sp at entry, and again at the check
//      +------------------+
//      | closure context  |  in every function, whether it uses it or not
//      |  f's return PC   |  <- sp in the hook; lr = PC in f
//      +------------------+

// What Go emits (1.18 to 1.27): the context is put on the stack and never taken from there.

.macro hook_plain hook
    str lr, [sp, #-8]!                          // f's return PC, in a frame of two words
    str r7, [sp, #4]                            // the context
    bl \hook                                    // may change the guard
    ldr lr, [sp], #8                            // f's return PC again; the frame is gone
.endm

.macro hook_context hook
    hook_plain \hook                            // the same
.endm

// What was meant.

.macro intended_plain hook
    str lr, [sp, #-8]!                          // f's return PC, in a frame of two words
    str r7, [sp, #4]                            // the context
    bl \hook                                    // may change the guard
    ldr r7, [sp, #4]                            // the context again
    ldr lr, [sp], #8                            // f's return PC again; the frame is gone
.endm

.macro intended_context hook
    intended_plain \hook                        // the same
.endm

// mayMoreStackPreempt: let the check that follows find a request to preempt.
// Not on g0 and gsignal, which are never preempted; and a guard that asks for something already is left alone.
// r7 is not touched, so that this hook does no harm where the prologue loses the context.
mayMoreStackPreempt:
    ldr r0, [r10, #g.m]                         // m
    ldr r1, [r0, #m.g0]                         // the scheduler?
    cmp r10, r1                                 // is it the running one?
    beq .done                                   // its checks must not fail
    ldr r1, [r0, #m.gsignal]                    // a signal handler?
    cmp r10, r1                                 // is it the running one?
    beq .done                                   // nor may its
    ldr r0, [r10, #g.stackguard0]               // the guard
    ldr r11, =StackPoisonMin                    // the lowest that asks for something
    cmp r0, r11                                 // unsigned, as the check compares
    bhs .done                                   // it does, perhaps for something else
    ldr r0, =StackPreempt                       // the request
    str r0, [r10, #g.stackguard0]               // now it asks for this
.done:
    mov pc, lr                                  // to the prologue

// mayMoreStackMove: the same with a request to move the stack to another one of its size.
mayMoreStackMove:
    ldr r0, [r10, #g.m]                         // m
    ldr r1, [r0, #m.g0]                         // the scheduler?
    cmp r10, r1                                 // is it the running one?
    beq .done                                   // its stack cannot be moved
    ldr r1, [r0, #m.gsignal]                    // a signal handler?
    cmp r10, r1                                 // is it the running one?
    beq .done                                   // nor can its
    ldr r0, [r10, #g.stackguard0]               // the guard
    ldr r11, =StackPoisonMin                    // the lowest that asks for something
    cmp r0, r11                                 // unsigned, as the check compares
    bhs .done                                   // it does, perhaps for something else
    ldr r0, =StackForceMove                     // the request
    str r0, [r10, #g.stackguard0]               // now it asks for this
.done:
    mov pc, lr                                  // to the prologue
