# Boot sector: real mode -> long mode -> a counted loop -> isa-debug-exit.
.code16
.globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    # Page tables at 0x1000: PML4 -> PDPT -> PD, one 2 MiB identity page.
    movw $0x1000, %di
    movw %di, %bx
    movw $0x1800, %cx
    cld
    rep stosw
    movw $0x2003, 0x1000
    movw $0x3003, 0x2000
    movw $0x0083, 0x3000
    movl $0x1000, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax        # PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx # EFER
    rdmsr
    orl $0x100, %eax       # LME
    wrmsr
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $0x80000001, %eax  # PG | PE
    movl %eax, %cr0
    ljmp $8, $long
.code64
long:
    movl $200000000, %ecx
1:  decl %ecx
    jnz 1b
    movw $0xf4, %dx
    movb $0x21, %al
    outb %al, %dx
2:  hlt
    jmp 2b
.align 8
gdt: .quad 0
    .quad 0x00209a0000000000
gdt_pointer: .word gdt_pointer - gdt - 1
    .long gdt
.org 510
.word 0xaa55
