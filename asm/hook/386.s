// Hooks in front of stack checks, and the calls that prologues make of them. Era: modern. Architecture: 386.
//
// A prologue calls its hook before it looks at the stack: the guard that the hook leaves is the one that is compared.
// All arguments are on the stack and no register survives a call; only edx, the closure context, must come through,
// and the prologue sees to that itself. ecx and eax are scratch.
//
//      the call of a hook, at the entry of f
//
//      |  f's arguments   |
//      |  f's return PC   |  <- esp at entry, and again at the check
//      |closure context   |  only if f uses it
//      |     PC in f      |  <- esp in the hook
//      +------------------+

// What Go emits, and what was meant: the same here. hook_context: f uses its closure context.

.macro hook_plain hook
    call \hook                                  // may change the guard
.endm

.macro hook_context hook
    push edx                                    // the context
    call \hook                                  // may change the guard
    pop edx                                     // the context again
.endm

.macro intended_plain hook
    hook_plain \hook                            // the same
.endm

.macro intended_context hook
    hook_context \hook                          // the same
.endm

// mayMoreStackPreempt: let the check that follows find a request to preempt.
// Not on g0 and gsignal, which are never preempted; and a guard that asks for something already is left alone.
mayMoreStackPreempt:
    mov eax, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [eax + TLS.g]            // g
    mov ecx, dword ptr [eax + g.m]              // m
    cmp eax, dword ptr [ecx + m.g0]             // the scheduler?
    je .done                                    // its checks must not fail
    cmp eax, dword ptr [ecx + m.gsignal]        // a signal handler?
    je .done                                    // nor may its
    cmp dword ptr [eax + g.stackguard0], StackPoisonMin // does it ask for something?
    jae .done                                   // it asks for something, perhaps something else
    mov dword ptr [eax + g.stackguard0], StackPreempt // now it asks for this
.done:
    ret                                         // to the prologue

// mayMoreStackMove: the same with a request to move the stack to another one of its size.
mayMoreStackMove:
    mov eax, dword ptr gs:[0]                   // thread's words
    mov eax, dword ptr [eax + TLS.g]            // g
    mov ecx, dword ptr [eax + g.m]              // m
    cmp eax, dword ptr [ecx + m.g0]             // the scheduler?
    je .done                                    // its stack cannot be moved
    cmp eax, dword ptr [ecx + m.gsignal]        // a signal handler?
    je .done                                    // nor can its
    cmp dword ptr [eax + g.stackguard0], StackPoisonMin // does it ask for something?
    jae .done                                   // it asks for something, perhaps something else
    mov dword ptr [eax + g.stackguard0], StackForceMove // now it asks for this
.done:
    ret                                         // to the prologue
