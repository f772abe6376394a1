// SPDX-License-Identifier: GPL-2.0
/* See kernel_types.h. */
#include "kernel_types.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every struct that has preserve_access_index in these programs. */
static const char *const needed[] = { "tcp_sock", "sk_buff", "mptcp_sock" };

struct copy {
	const struct btf *from;
	struct btf *to;
	int *ids; /* by type of `from`: its copy; 0: there is none yet */
};

static int copy_type(struct copy *copy, __u32 id);

static int copy_array(struct copy *copy, const struct btf_array *array)
{
	int index = copy_type(copy, array->index_type);
	int element = index < 0 ? index : copy_type(copy, array->type);

	return element < 0 ? element
			   : btf__add_array(copy->to, index, element, (__u32)array->nelems);
}

/* Its members' types first, as members are added to the newest type. */
static int copy_struct(struct copy *copy, const struct btf_type *type)
{
	const struct btf_member *members = btf_members(type);
	const char *name = btf__name_by_offset(copy->from, type->name_off);
	int id, result = 0;

	for (__u32 i = 0; i < btf_vlen(type) && result >= 0; i++)
		result = copy_type(copy, members[i].type);
	if (result < 0)
		return result;
	id = btf_is_union(type) ? btf__add_union(copy->to, name, type->size)
				: btf__add_struct(copy->to, name, type->size);
	result = id;
	for (__u32 i = 0; i < btf_vlen(type) && result >= 0; i++)
		result = btf__add_field(copy->to,
					btf__name_by_offset(copy->from, members[i].name_off),
					copy_type(copy, members[i].type),
					btf_member_bit_offset(type, i),
					btf_member_bitfield_size(type, i));
	return result < 0 ? result : id;
}

/* Libbpf compares no further than to a pointer, and overlooks names and qualifiers
 * of a member's type. */
static int make_copy(struct copy *copy, const struct btf_type *type)
{
	if (btf_is_mod(type) || btf_is_typedef(type))
		return copy_type(copy, type->type);
	if (btf_is_ptr(type))
		return btf__add_ptr(copy->to, 0);
	if (btf_is_array(type))
		return copy_array(copy, btf_array(type));
	if (btf_is_composite(type))
		return copy_struct(copy, type);
	return btf__add_type(copy->to, copy->from, type);
}

/* The number of the copy, or a negative errno. */
static int copy_type(struct copy *copy, __u32 id)
{
	if (id && !copy->ids[id])
		copy->ids[id] = make_copy(copy, btf__type_by_id(copy->from, id));
	return id ? copy->ids[id] : 0;
}

/* A kernel may lack some of them. */
static bool copy_needed(struct copy *copy)
{
	for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		__s32 id = btf__find_by_name_kind(copy->from, needed[i], BTF_KIND_STRUCT);

		if (id > 0 && copy_type(copy, (__u32)id) < 0)
			return false;
	}
	return true;
}

static int write_to_memory(const struct btf *btf)
{
	__u32 size;
	const void *data = btf__raw_data(btf, &size);
	int fd = data ? memfd_create("kernel_types", MFD_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, data, size) != (ssize_t)size) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* What was found, once it was looked for. */
static struct {
	bool done;
	bool struct_ops_link;
	char path[sizeof("/proc/self/fd/-2147483648")]; /* empty: there is none */
} types;

static void read_from(const struct btf *kernel, struct btf *small)
{
	struct copy copy = {
		.from = kernel,
		.to = small,
		.ids = calloc(btf__type_cnt(kernel), sizeof(*copy.ids)),
	};
	int fd = copy.ids && copy_needed(&copy) ? write_to_memory(small) : -1;

	if (fd >= 0) /* stays open, as the path is its */
		snprintf(types.path, sizeof(types.path), "/proc/self/fd/%d", fd);
	free(copy.ids);
	types.struct_ops_link = btf__find_by_name_kind(kernel, "bpf_struct_ops_link",
						       BTF_KIND_STRUCT) > 0;
}

static void look(void)
{
	struct btf *kernel, *small;

	if (types.done)
		return;
	types.done = true;
	kernel = btf__load_vmlinux_btf();
	small = btf__new_empty();
	if (kernel && small)
		read_from(kernel, small);
	btf__free(small);
	btf__free(kernel);
}

const char *kernel_types_path(void)
{
	look();
	return types.path[0] ? types.path : NULL;
}

bool kernel_types_have_struct_ops_link(void)
{
	look();
	return types.struct_ops_link;
}
