// Guests: the words that functions are written in for every era and architecture. Architecture: amd64.
//
// A machine with one accumulator (rax) and numbered words of the frame, slots; slot 0 comes first in the
// area of outgoing arguments. rcx is scratch. frame: all bytes below rsp at entry, the return PC not counted.
// Arguments are on the stack in every era.
//
//      |    argument 1    |  entry rsp + 16
//      |    argument 0    |  entry rsp + 8
//      |    return PC     |  entry rsp
//      +------------------+
//      |  (caller's rbp)  |  <- rbp, where the era keeps frame pointers
//      |       ...        |
//      |      slot 1      |  = argument 1 of whom it calls
//      |      slot 0      |  <- rsp = entry rsp - frame
//      +------------------+

.macro begin frame                              // make the frame
    sub rsp, \frame
.endm

.macro finish frame                             // give it back and return
    add rsp, \frame
    ret
.endm

.macro begin_linked frame                       // the same with a frame pointer
    push rbp
    mov rbp, rsp
    sub rsp, \frame - 8
.endm

.macro finish_linked frame
    add rsp, \frame - 8
    pop rbp
    ret
.endm

.macro constant value                           // acc = value
    mov rax, \value
.endm

.macro get slot                                 // acc = slot
    mov rax, qword ptr [rsp + \slot * 8]
.endm

.macro put slot                                 // slot = acc
    mov qword ptr [rsp + \slot * 8], rax
.endm

.macro get_far slot                             // the same for slots of any number
    mov rax, qword ptr [rsp + \slot * 8]
.endm

.macro put_far slot
    mov qword ptr [rsp + \slot * 8], rax
.endm

.macro plus slot                                // acc += slot
    add rax, qword ptr [rsp + \slot * 8]
.endm

.macro plus_constant value                      // acc += value
    add rax, \value
.endm

.macro address slot                             // acc = address of slot
    lea rax, [rsp + \slot * 8]
.endm

.macro code function                            // acc = address of a function's code
    mov rax, \function
.endm

.macro word_at offset                           // acc = word that is offset bytes above acc
    mov rax, qword ptr [rax + \offset]
.endm

.macro int_at offset                            // acc = C int that is offset bytes above acc
    movsxd rax, dword ptr [rax + \offset]
.endm

.macro set_word_at slot, offset                 // word that is offset bytes above slot's value = acc
    mov rcx, qword ptr [rsp + \slot * 8]
    mov qword ptr [rcx + \offset], rax
.endm

.macro set_half_at slot, offset                 // the same for two bytes
    mov rcx, qword ptr [rsp + \slot * 8]
    mov word ptr [rcx + \offset], ax
.endm

.macro running                                  // acc = g, in eras that keep it beside the thread's words
    mov rax, qword ptr fs:[TLS.g]
.endm

.macro spin_lock offset                         // wait for 0 in the 4 bytes that are offset bytes above acc; make it 1
    mov rcx, rax
    mov edx, 1
.spin:
    mov eax, 0
    lock cmpxchg dword ptr [rcx + \offset], edx
    jne .spin
.endm

.macro context offset                           // acc = word of the closure context, as the body begins
    mov rax, qword ptr [rdx + \offset]
.endm

.macro argument frame, index                    // acc = argument
    mov rax, qword ptr [rsp + \frame + 8 + \index * 8]
.endm

.macro set_argument frame, index                // argument (or result) = acc
    mov qword ptr [rsp + \frame + 8 + \index * 8], rax
.endm

.macro if_zero label
    test rax, rax
    je \label
.endm

.macro unless_equal slot, label                 // to label if acc is not slot
    cmp rax, qword ptr [rsp + \slot * 8]
    jne \label
.endm

.macro unless_above slot, label                 // to label if acc is not above slot, both signed
    cmp rax, qword ptr [rsp + \slot * 8]
    jle \label
.endm

.macro goto label
    jmp \label
.endm

.macro invoke function
    call \function
.endm

.macro invoke_value                             // call the func value at acc
    mov rdx, rax
    mov rcx, qword ptr [rdx]
    call rcx
.endm

.macro reload_g                                 // after a stub of the stack ABI, which does not keep g in r14; it counts since 2021
    mov r14, qword ptr fs:[TLS.g]
.endm

.macro switch_to fn                             // leave the goroutine: fn(g) runs on g0's stack. Uses slot 0
    mov rax, \fn
    mov qword ptr [rsp], rax
    call mcall
.endm

.macro switch_to_internal fn                    // the same for an mcall of the register ABI
    mov rax, \fn
    call mcall
.endm

.macro system_call number                       // acc = system call with slots 0, 1, 2 as arguments
    mov rdi, qword ptr [rsp]
    mov rsi, qword ptr [rsp + 8]
    mov rdx, qword ptr [rsp + 16]
    mov rax, \number
    syscall
.endm
