// Guests: the words that functions are written in for every era and architecture. Architecture: arm.
//
// A machine with one accumulator (r0) and numbered words of the frame, slots; slot 0 comes first in the
// area of outgoing arguments, above the saved link. r1 and r11 are scratch. frame: all bytes below sp at
// entry, the saved link counted. An offset of 4096 or more goes through r11: the words with _far, and arguments.
//
//      |    argument 1    |  entry sp + 8
//      |    argument 0    |  entry sp + 4
//      |caller's saved lr |  entry sp
//      +------------------+
//      |       ...        |
//      |      slot 1      |  = argument 1 of whom it calls
//      |      slot 0      |
//      |     saved lr     |  <- sp = entry sp - frame
//      +------------------+

.macro begin frame                              // make the frame
    ldr r11, =(\frame)
    sub sp, sp, r11
    str lr, [sp]
.endm

.macro finish frame                             // give it back and return
    ldr lr, [sp]
    ldr r11, =(\frame)
    add sp, sp, r11
    bx lr
.endm

.macro constant value                           // acc = value
    ldr r0, =(\value)
.endm

.macro get slot                                 // acc = slot
    ldr r0, [sp, #\slot * 4 + 4]
.endm

.macro put slot                                 // slot = acc
    str r0, [sp, #\slot * 4 + 4]
.endm

.macro get_far slot                             // the same for slots of any number
    ldr r11, =(\slot * 4 + 4)
    ldr r0, [sp, r11]
.endm

.macro put_far slot
    ldr r11, =(\slot * 4 + 4)
    str r0, [sp, r11]
.endm

.macro plus slot                                // acc += slot
    ldr r11, [sp, #\slot * 4 + 4]
    add r0, r0, r11
.endm

.macro plus_constant value                      // acc += value
    ldr r11, =(\value)
    add r0, r0, r11
.endm

.macro address slot                             // acc = address of slot
    add r0, sp, #\slot * 4 + 4
.endm

.macro code function                            // acc = address of a function's code
    ldr r0, =\function
.endm

.macro word_at offset                           // acc = word that is offset bytes above acc
    ldr r0, [r0, #\offset]
.endm

.macro int_at offset                            // acc = C int that is offset bytes above acc
    ldr r0, [r0, #\offset]
.endm

.macro set_word_at slot, offset                 // word that is offset bytes above slot's value = acc
    ldr r1, [sp, #\slot * 4 + 4]
    str r0, [r1, #\offset]
.endm

.macro set_half_at slot, offset                 // the same for two bytes
    ldr r1, [sp, #\slot * 4 + 4]
    strh r0, [r1, #\offset]
.endm

.macro running                                  // acc = g
    mov r0, r10
.endm

.macro spin_lock offset                         // wait for 0 in the 4 bytes that are offset bytes above acc; make it 1
    add r1, r0, #\offset
    mov r11, #1
.spin:
    ldrex r0, [r1]
    cmp r0, #0
    bne .spin
    strex r2, r11, [r1]
    cmp r2, #0
    bne .spin
.endm

.macro context offset                           // acc = word of the closure context, as the body begins
    ldr r0, [r7, #\offset]
.endm

.macro argument frame, index                    // acc = argument
    ldr r11, =(\frame + 4 + \index * 4)
    ldr r0, [sp, r11]
.endm

.macro set_argument frame, index                // argument (or result) = acc
    ldr r11, =(\frame + 4 + \index * 4)
    str r0, [sp, r11]
.endm

.macro if_zero label
    cmp r0, #0
    beq \label
.endm

.macro unless_equal slot, label                 // to label if acc is not slot
    ldr r11, [sp, #\slot * 4 + 4]
    cmp r0, r11
    bne \label
.endm

.macro unless_above slot, label                 // to label if acc is not above slot, both signed
    ldr r11, [sp, #\slot * 4 + 4]
    cmp r0, r11
    ble \label
.endm

.macro goto label
    b \label
.endm

.macro invoke function
    bl \function
.endm

.macro invoke_value                             // call the func value at acc
    mov r7, r0
    ldr r1, [r7]
    blx r1
.endm

.macro reload_g                                 // after a stub of the stack ABI: g was in r10 all the time
.endm

.macro switch_to fn                             // leave the goroutine: fn(g) runs on g0's stack. Uses slot 0
    ldr r0, =(\fn)
    str r0, [sp, #4]
    bl mcall
.endm

.macro system_call number                       // acc = system call with slots 0, 1, 2 as arguments
    ldr r0, [sp, #4]
    ldr r1, [sp, #8]
    ldr r2, [sp, #12]
    ldr r7, =(\number)
    svc #0
.endm
