// rawVforkSyscall as Go 1.17 brought it to 386, for eras that fork with a copy of memory there. Architecture: 386.
//
//      |     r1, err      |  results: each process stores its own
//      |     a1, trap     |
//      +------------------+
//      |    return PC     |  overwritten by the child's next calls: kept in esi across the trap
//      +------------------+

// rawVforkSyscall(trap, a1) (r1, err): a system call that may return twice on one stack.
rawVforkSyscall:
    mov eax, dword ptr [esp + 4]                // trap
    mov ebx, dword ptr [esp + 8]                // a1
    mov ecx, 0                                  // a2: the child's stack is the parent's
    mov edx, 0                                  // a3: none
    pop esi                                     // return PC, out of reach of the child
    int 0x80                                    // into the kernel
    push esi                                    // this process's own copy
    cmp eax, 0xfffff001                         // -4095 counts as success, only above it are errors
    jbe .good                                   // no error
    mov dword ptr [esp + 12], -1                // r1
    neg eax                                     // the error's number
    mov dword ptr [esp + 16], eax               // err
    ret                                         // to the caller
.good:
    mov dword ptr [esp + 12], eax               // r1
    mov dword ptr [esp + 16], 0                 // err
    ret                                         // to the caller
