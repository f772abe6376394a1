/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What our programs ask of the kernel's types (CO-RE), as a small BTF of its own.
 * libbpf reads all that the kernel has for each program that it loads, 5 MB and
 * a tenth of a second each time; this is read once. Made at the first call, good
 * in this process as long as it lives. Not to be called by several threads.
 */
#ifndef SLUICE_KERNEL_TYPES_H
#define SLUICE_KERNEL_TYPES_H

#include <stdbool.h>

/*
 * For btf_custom_path of struct bpf_object_open_opts: the path of a BTF of the
 * structs that bpf/tune.bpf.c and bpf/splice.bpf.c name, as this kernel has them.
 * Not to be freed. NULL: it could not be made, and libbpf is left to find the
 * kernel's own, or to say why it cannot.
 */
const char *kernel_types_path(void);

/* True when the kernel can tie a struct_ops to a link, so that it is unregistered
 * when nobody holds that any more (6.4). */
bool kernel_types_have_struct_ops_link(void);

#endif
