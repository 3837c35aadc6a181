# Entry from PVH: 32-bit protected mode, paging off, EBX = physical address of hvm_start_info.
# Makes the way to 64-bit mode and calls `start` with that address.

.section .note.pvh, "a", @note
.balign 4
.long 4                     # length of the name
.long 4                     # length of the value
.long 18                    # XEN_ELFNOTE_PHYS32_ENTRY
.asciz "Xen"
.long pvh_entry

.section .text.pvh, "ax"
.code32
.global pvh_entry
pvh_entry:
    cli
    cld
    mov esp, offset stack_top
    mov esi, ebx

    # Nobody says that the memory behind the image is zero.
    mov edi, offset bss_start_marker
    mov ecx, offset tables_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd

    # The first 4 GiB as they are, in pages of 2 MiB, writable and never executable, ...
    mov edi, offset page_directories
    mov eax, 0x83           # present, writable, large
    mov ecx, 2048
2:  mov [edi], eax
    mov dword ptr [edi + 4], 0x80000000   # no execute
    add eax, 0x200000
    add edi, 8
    loop 2b

    # ... but the first 2 MiB in pages of 4 KiB: code is not writable, constants are neither
    # writable nor executable, and the page at zero, where firmware may have left what the loader
    # passes, can only be read.
    mov edi, offset page_table
    xor eax, eax
    mov ecx, 512
3:  mov edx, eax
    or edx, 0x3
    mov ebx, 0x80000000
    cmp eax, offset image_start
    jb 5f
    cmp eax, offset text_end
    jae 4f
    mov edx, eax
    or edx, 0x1
    xor ebx, ebx
    jmp 5f
4:  cmp eax, offset rodata_end
    jae 5f
    mov edx, eax
    or edx, 0x1
5:  mov [edi], edx
    mov [edi + 4], ebx
    add eax, 0x1000
    add edi, 8
    loop 3b
    mov dword ptr [page_table], 1
    mov eax, offset stack_guard
    shr eax, 12
    mov dword ptr [page_table + eax * 8], 0
    mov eax, offset page_table
    or eax, 0x3
    mov [page_directories], eax
    mov dword ptr [page_directories + 4], 0

    mov edi, offset page_pointers
    mov eax, offset page_directories
    or eax, 0x3
    mov ecx, 4
6:  mov [edi], eax
    add eax, 0x1000
    add edi, 8
    loop 6b
    mov eax, offset page_pointers
    or eax, 0x3
    mov [page_root], eax

    mov eax, offset page_root
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620           # PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080     # EFER
    rdmsr
    or eax, 0x900           # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0xfffffffb     # no EM
    or eax, 0x80010002      # paging, write protection, MP
    mov cr0, eax
    lgdt [descriptor_pointer]
    # A far jump, in an encoding that every assembler agrees on.
    .byte 0xea
    .long long_mode
    .word 8

.code64
long_mode:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov rsp, offset stack_top
    xor ebp, ebp
    mov edi, esi
    call start
    ud2

.section .rodata.pvh, "a"
.balign 16
descriptors:
    .quad 0
    .quad 0x00af9b000000ffff    # code, 64 bit
    .quad 0x00cf93000000ffff    # data
descriptor_pointer:
    .word 23
    .long descriptors
    .long 0

.section .bss.tables, "aw", @nobits
.balign 4096
bss_start_marker:
page_root:
    .skip 4096
page_pointers:
    .skip 4096
page_directories:
    .skip 16384
page_table:
    .skip 4096
tables_end:

# Below the stack lies a page that is not in the map.
.section .bss.stack, "aw", @nobits
.balign 4096
.global stack_guard
stack_guard:
    .skip 4096
    .skip 131072
stack_top:

.text
