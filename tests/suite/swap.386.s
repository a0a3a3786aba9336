// A context is a saved esp; under it lie edi, esi, ebx, ebp and the PC to go on at.
        .globl  prepare, swap
prepare:                                        // prepare(context, top, body): swap to it calls body
        mov     ecx, [esp + 8]
        and     ecx, -16
        mov     eax, [esp + 12]
        mov     dword ptr [ecx - 4], 0          // body returns to nowhere
        mov     [ecx - 8], eax
        sub     ecx, 24
        mov     eax, [esp + 4]
        mov     [eax], ecx
        ret
swap:                                           // swap(from, to)
        mov     eax, [esp + 4]
        mov     ecx, [esp + 8]
        push    ebp
        push    ebx
        push    esi
        push    edi
        mov     [eax], esp
        mov     esp, [ecx]
        pop     edi
        pop     esi
        pop     ebx
        pop     ebp
        ret
