// Guests: the words that functions are written in for every era and architecture. Architecture: 386.
//
// A machine with one accumulator (eax) and numbered words of the frame, slots; slot 0 comes first in the
// area of outgoing arguments. ecx is scratch. frame: all bytes below esp at entry, the return PC not counted.
//
//      |    argument 1    |  entry esp + 8
//      |    argument 0    |  entry esp + 4
//      |    return PC     |  entry esp
//      +------------------+
//      |       ...        |
//      |      slot 1      |  = argument 1 of whom it calls
//      |      slot 0      |  <- esp = entry esp - frame
//      +------------------+

.macro begin frame                              // make the frame
    sub esp, \frame
.endm

.macro finish frame                             // give it back and return
    add esp, \frame
    ret
.endm

.macro constant value                           // acc = value
    mov eax, \value
.endm

.macro get slot                                 // acc = slot
    mov eax, dword ptr [esp + \slot * 4]
.endm

.macro put slot                                 // slot = acc
    mov dword ptr [esp + \slot * 4], eax
.endm

.macro get_far slot                             // the same for slots of any number
    mov eax, dword ptr [esp + \slot * 4]
.endm

.macro put_far slot
    mov dword ptr [esp + \slot * 4], eax
.endm

.macro plus slot                                // acc += slot
    add eax, dword ptr [esp + \slot * 4]
.endm

.macro plus_constant value                      // acc += value
    add eax, \value
.endm

.macro address slot                             // acc = address of slot
    lea eax, [esp + \slot * 4]
.endm

.macro code function                            // acc = address of a function's code
    mov eax, \function
.endm

.macro word_at offset                           // acc = word that is offset bytes above acc
    mov eax, dword ptr [eax + \offset]
.endm

.macro int_at offset                            // acc = C int that is offset bytes above acc
    mov eax, dword ptr [eax + \offset]
.endm

.macro set_word_at slot, offset                 // word that is offset bytes above slot's value = acc
    mov ecx, dword ptr [esp + \slot * 4]
    mov dword ptr [ecx + \offset], eax
.endm

.macro set_half_at slot, offset                 // the same for two bytes
    mov ecx, dword ptr [esp + \slot * 4]
    mov word ptr [ecx + \offset], ax
.endm

.macro running                                  // acc = g, in eras that keep it beside the thread's words
    mov eax, dword ptr gs:[0]
    mov eax, dword ptr [eax + TLS.g]
.endm

.macro spin_lock offset                         // wait for 0 in the 4 bytes that are offset bytes above acc; make it 1
    mov ecx, eax
    mov edx, 1
.spin:
    mov eax, 0
    lock cmpxchg dword ptr [ecx + \offset], edx
    jne .spin
.endm

.macro context offset                           // acc = word of the closure context, as the body begins
    mov eax, dword ptr [edx + \offset]
.endm

.macro argument frame, index                    // acc = argument
    mov eax, dword ptr [esp + \frame + 4 + \index * 4]
.endm

.macro set_argument frame, index                // argument (or result) = acc
    mov dword ptr [esp + \frame + 4 + \index * 4], eax
.endm

.macro if_zero label
    test eax, eax
    je \label
.endm

.macro unless_equal slot, label                 // to label if acc is not slot
    cmp eax, dword ptr [esp + \slot * 4]
    jne \label
.endm

.macro unless_above slot, label                 // to label if acc is not above slot, both signed
    cmp eax, dword ptr [esp + \slot * 4]
    jle \label
.endm

.macro goto label
    jmp \label
.endm

.macro invoke function
    call \function
.endm

.macro invoke_value                             // call the func value at acc
    mov edx, eax
    mov ecx, dword ptr [edx]
    call ecx
.endm

.macro reload_g                                 // after a stub of the stack ABI: g is in no register
.endm

.macro switch_to fn                             // leave the goroutine: fn(g) runs on g0's stack. Uses slot 0
    mov dword ptr [esp], \fn
    call mcall
.endm

.macro system_call number                       // acc = system call with slots 0, 1, 2 as arguments
    mov ebx, dword ptr [esp]
    mov ecx, dword ptr [esp + 4]
    mov edx, dword ptr [esp + 8]
    mov eax, \number
    int 0x80
.endm
