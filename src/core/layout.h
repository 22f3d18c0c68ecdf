/* layout.h - fixed guest-physical addresses, ports and interrupt lines of the machine. */
#ifndef CORE_LAYOUT_H
#define CORE_LAYOUT_H

#define LAYOUT_LOW_RAM_END   0xc0000000ull /* 3 GiB: RAM below, devices up to 4 GiB */
#define LAYOUT_HIGH_RAM      0x100000000ull

#define LAYOUT_PCI_ECAM      0xe0000000ull /* 256 MiB: 256 buses */
#define LAYOUT_PCI_ECAM_LEN  0x10000000ull
#define LAYOUT_PCI_BUSES     1u            /* that answer there */
#define LAYOUT_PCI_MMIO      0xc0000000ull /* 512 MiB of 32-bit BARs */
#define LAYOUT_PCI_MMIO_LEN  0x20000000ull
#define LAYOUT_PCI_SLOTS     32u
#define LAYOUT_PCI_GSI(slot) (16u + (slot) % 8u) /* of a slot's INTA#: _PRT says so */
#define LAYOUT_IOAPIC        0xfec00000ull
#define LAYOUT_LAPIC         0xfee00000ull

/* What boot code places in low memory (see boot/) */
#define LAYOUT_GDT           0x0500ull
#define LAYOUT_ZERO_PAGE     0x7000ull
#define LAYOUT_BOOT_STACK    0x8ff0ull
#define LAYOUT_PAGE_TABLES   0x9000ull     /* up to 0x20000 */
#define LAYOUT_CMDLINE       0x20000ull    /* up to 64 KiB */
#define LAYOUT_MPTABLE       0x9fc00ull    /* EBDA, 1 KiB, reserved in E820 */
#define LAYOUT_ACPI          0xe0000ull    /* RSDP and tables, 128 KiB reserved below 1 MiB */
#define LAYOUT_ACPI_LEN      0x20000ull
#define LAYOUT_KERNEL        0x1000000ull  /* 16 MiB */

/* Ports */
#define PORT_PIC1 0x20
#define PORT_PIC2 0xa0
#define PORT_PIT 0x40
#define PORT_I8042 0x60
#define PORT_SYSCTL_B 0x61 /* PIT channel 2 gate and output, NMI status */
#define PORT_RTC 0x70
#define PORT_SYSCTL_A 0x92 /* fast A20, fast reset */
#define PORT_ELCR 0x4d0
#define PORT_COM1 0x3f8
#define PORT_PVPANIC 0x505
#define PORT_ACPI_PM 0x600 /* PM1a event 0x600, control 0x604, PM timer 0x608, GPE0 0x620 */
#define PORT_PCI_ADDRESS 0xcf8 /* and PORT_RESET within it */
#define PORT_PCI_DATA 0xcfc
#define PORT_RESET 0xcf9

/* ISA lines */
#define IRQ_PIT 0
#define IRQ_KBD 1
#define IRQ_COM1 4
#define IRQ_RTC 8
#define IRQ_ACPI_SCI 9

#endif
