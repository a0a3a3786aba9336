// Hooks in front of stack checks, and the calls that prologues make of them. Era: modern. Architecture: amd64.
//
// A prologue calls its hook before it looks at the stack: the guard that the hook leaves is the one that is compared.
// Register ABI: the hook finds g in r14 and leaves it there; rbp and xmm15 (0) come through as well, no other register.
// Arguments that are in registers f puts into its spill slots, which its caller keeps free above the return PC;
// functions with arguments on the stack have none. rdx is the closure context. rax and rcx are scratch.
//
//      the call of a hook, at the entry of f
//
//      |   spill slots    |  rsp + 8 at entry
//      |  f's return PC   |  <- rsp at entry, and again at the check
//      |closure context   |  only if f uses it
//      |     PC in f      |  <- rsp in the hook
//      +------------------+

// What Go emits, and what was meant: the same here. hook_context: f uses its closure context.

.macro hook_plain hook
    call \hook                                  // may change the guard
.endm

.macro hook_context hook
    push rdx                                    // the context
    call \hook                                  // may change the guard
    pop rdx                                     // the context again
.endm

.macro intended_plain hook
    hook_plain \hook                            // the same
.endm

.macro intended_context hook
    hook_context \hook                          // the same
.endm

// mayMoreStackPreempt: let the check that follows find a request to preempt.
// Not on g0 and gsignal, which are never preempted; and a guard that asks for something already is left alone.
// The two values are 32-bit immediates that the CPU extends by their sign.
mayMoreStackPreempt:
    mov rax, qword ptr [r14 + g.m]              // m
    cmp r14, qword ptr [rax + m.g0]             // the scheduler?
    je .done                                    // its checks must not fail
    cmp r14, qword ptr [rax + m.gsignal]        // a signal handler?
    je .done                                    // nor may its
    cmp qword ptr [r14 + g.stackguard0], StackPoisonMin // does it ask for something?
    jae .done                                   // it asks for something, perhaps something else
    mov qword ptr [r14 + g.stackguard0], StackPreempt // now it asks for this
.done:
    ret                                         // to the prologue

// mayMoreStackMove: the same with a request to move the stack to another one of its size.
mayMoreStackMove:
    mov rax, qword ptr [r14 + g.m]              // m
    cmp r14, qword ptr [rax + m.g0]             // the scheduler?
    je .done                                    // its stack cannot be moved
    cmp r14, qword ptr [rax + m.gsignal]        // a signal handler?
    je .done                                    // nor can its
    cmp qword ptr [r14 + g.stackguard0], StackPoisonMin // does it ask for something?
    jae .done                                   // it asks for something, perhaps something else
    mov qword ptr [r14 + g.stackguard0], StackForceMove // now it asks for this
.done:
    ret                                         // to the prologue
